"""The one table of what each RPC requires."""

from collections.abc import Mapping
from typing import Final

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity.principals import Principal, Role

_SCHEDULER: Final = "/heddle.v1.SchedulerService/"
_WORKTREE: Final = "/heddle.v1.WorktreeService/"
_AGENT: Final = "/heddle.v1.AgentService/"

_READ: Final = """
    GetRun ListRuns WatchRuns ForecastRun ListEpics GetConflicts ListTasks GetAttempt ListAttempts ListApprovals
    ListEvents WatchRun ListSessionEvents WatchSession ReadArtifact GetDiff ListCosts ListEpicWorktrees ListHolds
    ListWorkers
"""
_OPERATE: Final = """
    CreateRun UpdateRun PauseRun ResumeRun CancelRun RetryMerge PushRun ResolveConflict DropEpic AddTask RetryTask
    SkipTask StopAttempt ResolveApproval SendMessage RestoreEpicWorktree CollectGarbage LiftHold
"""
_OF_WORKTREES: Final = """
    InspectProject EnsureWorktree CommitTask DiscardAttempt MergeBranch OpenMerge CloseMerge PredictConflicts
    RemoveWorktree RestoreWorktree ReleaseLease ListWorktrees PushBranches DiffRevisions
"""
_OF_AGENTS: Final = """
    StartSession WatchSession GetSession ListSessions StopSession ParkSession AnswerApproval SendMessage RunChecks
    FetchArtifact ReleaseSession DeleteSessions GetWorker
"""

# By full method name. A method that is missing here is refused.
REQUIRED: Final[Mapping[str, Role]] = {
    **{f"{_SCHEDULER}{name}": Role.VIEWER for name in _READ.split()},
    **{f"{_SCHEDULER}{name}": Role.OPERATOR for name in _OPERATE.split()},
    **{f"{_WORKTREE}{name}": Role.SCHEDULER for name in _OF_WORKTREES.split()},
    **{f"{_AGENT}{name}": Role.SCHEDULER for name in _OF_AGENTS.split()},
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.VIEWER,
}

# Probes have no credential.
OPEN_SERVICE: Final = "/grpc.health.v1.Health/"


def check(principal: Principal, method: str) -> None:
    """Raises PERMISSION_DENIED unless `principal` may call `method`, a full method name."""
    required = REQUIRED.get(method)
    if required is None:
        raise HeddleError(pb.ERROR_REASON_PERMISSION_DENIED, f"no one may call {method}")
    if principal.role < required:
        raise HeddleError(
            pb.ERROR_REASON_PERMISSION_DENIED,
            f"{method.rpartition('/')[2]} needs the role {required.name.lower()};"
            f" {principal.name} has the role {principal.role.name.lower()}",
        )
