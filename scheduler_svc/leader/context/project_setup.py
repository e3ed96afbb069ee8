"""A project's setup of an epic's worktree before the first session, and its teardown after the last."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.errors import HeddleError
from heddle.failpoints import failpoint
from heddle.names import EpicName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.workers import from_worker
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.assignments import Assignment

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Applies if the project sets no limit.
_SETUP_LIMIT: Final = Duration(seconds=15 * 60)

TEARDOWN_LIMIT: Final = Duration(seconds=2 * 60)

# Seconds that a worker's response may take beyond the time limit of its commands.
_MARGIN: Final = 30.0


def setup_of(assignment: Assignment, worktree: pb.Worktree) -> pb.Setup | None:
    """Returns the setup that must run in the worktree before the agent; None if it has run or there is none."""
    file = assignment.project_file
    if not file.setup or assignment.set_up == worktree.incarnation:
        return None
    return pb.Setup(commands=file.setup, timeout=setup_limit(file), incarnation=worktree.incarnation)


def setup_limit(file: pb.ProjectFile) -> Duration:
    """Returns the time limit of the project's setup."""
    return file.setup_timeout if file.HasField("setup_timeout") else _SETUP_LIMIT


# Any: a row of `worktrees.to_clean`.
async def tear_down(term: Term, epic: EpicName, row: Any) -> None:
    """Runs the project's teardown once in a worktree at the end of its run; only reports a failure."""
    file = pb.ProjectFile.FromString(row.project_file or b"")
    if not file.teardown or not row.worktree_path or row.lease is None:
        return
    lease = pb.Lease.FromString(row.lease or b"")
    request = pb.RunChecksRequest(
        resource=str(epic),
        epoch=term.epoch,
        checks=[pb.Check(name=command, run=command) for command in file.teardown],
        timeout=TEARDOWN_LIMIT,
        environment={**lease.environment, "HEDDLE_RUN": epic.run, "HEDDLE_EPIC": epic.epic},
    )
    failpoint("RunChecks.before_call")
    try:
        limit = TEARDOWN_LIMIT.seconds + _MARGIN
        stream = term.workers.connected(row.worker).agent.RunChecks(request, timeout=limit)
        reports = [answer.check async for answer in stream]
    except grpc.aio.AioRpcError as error:
        log.warning("teardown_not_run", epic=str(epic), error=from_worker(row.worker, error).message)
        return
    except HeddleError as error:
        log.warning("teardown_not_run", epic=str(epic), error=error.message)
        return
    failpoint("RunChecks.after_call")
    told = event(epic, f"worker:{row.worker}", teardown_finished=_told(reports))
    await term.write("append", partial(append, events=[told], now=term.now()), str(epic.parent))


def _told(reports: Sequence[pb.CheckFinished]) -> pb.TeardownFinished:
    """Returns the result of a teardown: the first command that failed, if any."""
    failed = next((each for each in reports if not each.ok), None)
    finished = pb.TeardownFinished(ok=failed is None)
    finished.duration.FromNanoseconds(sum(each.duration.ToNanoseconds() for each in reports))
    if failed is not None:
        finished.command, finished.output = failed.command, failed.output
        if failed.HasField("exit_code"):
            finished.exit_code = failed.exit_code
    return finished
