"""Runs the jobs of the RPCs about one project."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from heddle import pb
from heddle.config import Tls
from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceServicer
from worktree_svc.git.process import remote_access
from worktree_svc.projects import environment_faults
from worktree_svc.projects.locks import KeyedExecutor
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.worktrees.lifecycle import Worktrees

T = TypeVar("T")


class ProjectJobs(WorktreeServiceServicer):
    """What the parts of WorktreeServicer share; WorktreeServicer sets the attributes."""

    _executor: KeyedExecutor
    _worktrees: Worktrees
    _mirrors: Mirrors
    _tls: Tls | None

    async def _on(
        self,
        project: str,
        job: Callable[[], T],
        *,
        key: str | None,
        restored: Iterable[pb.KnownBranch] = (),
        access: pb.RepositoryAccess | None = None,
    ) -> T:
        """Runs a job on an inspected project. A lost mirror is restored; another missing repository is a fault."""

        def checked() -> T:
            with (
                environment_faults.as_project_unavailable(self._worktrees.folders, project),
                remote_access.opened(project, access, self._tls),
            ):
                self._mirrors.restore(project, restored)
                return job()

        return await self._executor.run(checked, key=key, ends_with_caller=True)
