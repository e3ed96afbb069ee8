"""Gives a worker access to a project by path on the disk of another one, the home of its run, for one call."""

from typing import Final

from heddle import pb, urls
from heddle.errors import HeddleError
from heddle.names import EpicName
from scheduler_svc.pools.workers import Workers, call

# Seconds.
_TIMEOUT: Final = 30.0


async def give_access(
    workers: Workers,
    request: pb.EnsureWorktreeRequest | pb.CommitTaskRequest | pb.DiffRevisionsRequest,
    epic: EpicName,
    *,
    generation: int = 0,
    epoch: int = 0,
) -> None:
    """Adds to a request how its worker reaches the project, if that is another worker's; without a generation, to read it.

    Raises PROJECT_UNAVAILABLE while that worker cannot be reached, and CLAIM_REFUSED if it no longer serves the project.
    """
    if not urls.is_of_worker(request.project):
        return
    home, path = urls.worker_and_path(request.project)
    asked = pb.GrantRepositoryRequest(project=path, epic=str(epic), generation=generation, epoch=epoch)
    try:
        worker = workers.get(home)
        answer = await call(home, worker.worktree.GrantRepository, asked, _TIMEOUT)
    except HeddleError as error:
        if error.reason != pb.ERROR_REASON_NO_WORKER:
            raise
        raise HeddleError(
            pb.ERROR_REASON_PROJECT_UNAVAILABLE,
            f"the project is on the disk of worker {home}: {error.message}. Work continues by itself once it is back.",
            project=path,
        ) from error
    request.access.CopyFrom(answer.access)
