"""The RPCs with which a person resolves a conflict."""

from typing import Any

import grpc

from heddle import pb
from heddle.names import EpicName
from worktree_svc.git import refs
from worktree_svc.merges import conflict_files, resolutions
from worktree_svc.project_jobs import ProjectJobs
from worktree_svc.projects import claims, repository


class ConflictMethods(ProjectJobs):
    """Part of WorktreeServicer, which sets the attributes."""

    async def ReadConflict(
        self, request: pb.ReadConflictRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ReadConflictResponse:
        def job() -> pb.ReadConflictResponse:
            return conflict_files.read(repository.find(self._worktrees.folders, request.project), request)

        return await self._on(request.project, job, key=None, restored=request.known_branches)

    async def MakeResolution(
        self, request: pb.MakeResolutionRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.MakeResolutionResponse:
        def job() -> pb.MakeResolutionResponse:
            self._worktrees.check_epoch(request.epoch)
            project = repository.find(self._worktrees.folders, request.project)
            commit = resolutions.make(project, request)
            if request.push:
                claims.submit(project, refs.resolution_ref(EpicName.parse(request.epic), commit))
            return pb.MakeResolutionResponse(commit=commit)

        return await self._on(request.project, job, key=request.epic, restored=request.known_branches)
