"""The RPCs about a project as a whole: what a run starts from, and how other workers reach it."""

from typing import Any

import grpc

from heddle import pb, urls
from heddle.names import EpicName
from worktree_svc.project_jobs import ProjectJobs
from worktree_svc.projects import inspection, project_file
from worktree_svc.served.repositories import ServedRepositories


class ProjectMethods(ProjectJobs):
    """Part of WorktreeServicer, which sets the attributes."""

    _served: ServedRepositories

    async def InspectProject(
        self, request: pb.InspectProjectRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.InspectProjectResponse:
        def job() -> pb.InspectProjectResponse:
            url = urls.is_url(request.project)
            name = self._mirrors.update(request.project, request.merge_into) if url else ""
            found = inspection.inspect(
                self._worktrees.folders, request.project, request.base_ref, request.merge_into
            )
            file = project_file.read(found.project, found.base_commit, self._worktrees.leases.port_range)
            served, why = (False, "") if url else self._served.serves(found.project, found.base_commit, file)
            return pb.InspectProjectResponse(
                project=name or str(found.project.top),
                base_commit=found.base_commit,
                dirty_files=found.dirty_files,
                base_branch=found.base_branch,
                base_behind=found.behind,
                project_file=file,
                served=served,
                not_served=why,
            )

        return await self._executor.run(job)

    async def GrantRepository(
        self, request: pb.GrantRepositoryRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.GrantRepositoryResponse:
        epic = EpicName.parse(request.epic)

        def job() -> pb.GrantRepositoryResponse:
            if request.generation:
                self._worktrees.check_epoch(request.epoch)
            access = self._served.grant(request.project, epic, request.generation)
            return pb.GrantRepositoryResponse(access=access)

        return await self._on(request.project, job, key=None)
