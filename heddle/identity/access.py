"""The one table of what each RPC requires of its caller."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity.principals import Kind, Principal

Required: TypeAlias = "pb.Role.ValueType | Kind"

_BY_SERVICE: Final[Mapping[str, Mapping[Required, str]]] = {
    "SchedulerService": {
        pb.ROLE_VIEWER: """
            GetRun ListRuns WatchRuns GetPlan GetDraft ForecastRun ListEpics GetConflicts GetEpicConflict GetConflictFile ListTasks
            GetAttempt ListAttempts ListApprovals ListEvents WatchRun ListSessionEvents WatchSession ReadArtifact GetDiff ListCosts
            ListDailyCosts ListEpicWorktrees ListHolds ListSchedules ListWorkers
        """,
        pb.ROLE_OPERATOR: """
            CreateRun DraftPlan ApplyPlan UpdateRun PauseRun ResumeRun CancelRun RetryMerge PushRun SyncBase ResolveConflict
            SubmitResolution DropEpic AddTask RetryTask SkipTask ChooseCandidate StopAttempt ResolveApproval RevokePermission
            SendMessage RestoreEpicWorktree RemoveEpicWorktree
            CollectGarbage LiftHold CreateSchedule UpdateSchedule DeleteSchedule DrainWorker UndrainWorker
        """,
        pb.ROLE_ADMIN: "OpenTerminal",
        Kind.WORKER: "RegisterWorker",
    },
    "IdentityService": {
        pb.ROLE_VIEWER: "GetCaller CreateSignInCode SignOut GetPreferences UpdatePreferences",
        pb.ROLE_ADMIN: "CreateToken ListTokens RevokeToken ListAuditEntries",
        Kind.WEB: "SignIn",
    },
    "WorktreeService": {
        Kind.SCHEDULER: """
            InspectProject EnsureWorktree CommitTask DiscardAttempt MergeBranch OpenMerge CloseMerge PredictConflicts CountNewCommits
            RemoveWorktree RestoreWorktree ReleaseLease ListWorktrees PushBranches RemoveRemoteRefs GrantRepository
            DiffRevisions ReadConflict MakeResolution
        """,
    },
    "AgentService": {
        Kind.SCHEDULER: """
            StartSession WatchSession GetSession ListSessions StopSession ParkSession AnswerApproval SendMessage
            RunChecks OpenTerminal FetchArtifact ReleaseSession DeleteSessions GetWorker
        """,
    },
}

# By full method name. A method that is missing here is refused.
REQUIRED: Final[Mapping[str, Required]] = {
    **{
        f"/heddle.v1.{service}/{method}": required
        for service, methods in _BY_SERVICE.items()
        for required, names in methods.items()
        for method in names.split()
    },
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": pb.ROLE_VIEWER,
}

# Probes have no credential.
OPEN_SERVICE: Final = "/grpc.health.v1.Health/"


def check(principal: Principal, method: str) -> None:
    """Raises PERMISSION_DENIED unless `principal` may call `method`, a full method name.

    A worker's reflection is open to the scheduler as well, whose kind has no role.
    """
    required = REQUIRED.get(method)
    name = method.rpartition("/")[2]
    if required is None:
        raise _denied(f"{name} is not a call that anyone may make")
    if isinstance(required, Kind):
        if principal.kind is not required:
            raise _denied(f"only the {required.value} may call {name}, and {principal.name} is not")
    elif principal.kind is Kind.WORKER:
        raise _denied(f"{principal.name} may only register itself, and not call {name}")
    elif principal.kind is Kind.USER and principal.role < required:
        needed, has = (
            pb.Role.Name(role).removeprefix("ROLE_").lower() for role in (required, principal.role)
        )
        if principal.reading:
            raise _denied(
                f"{name} changes something, and this browser can only read: its storage was cleared, or another program"
                " uses its cookie. Sign in again with a link from `heddle open`"
            )
        raise _denied(f"{name} needs the role {needed}; {principal.name} has the role {has}")
    elif principal.kind is not Kind.USER and required > pb.ROLE_VIEWER:
        raise _denied(
            f"{name} needs a person or a program with a token; the {principal.kind.value} may only read"
        )


def _denied(message: str) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_PERMISSION_DENIED, message)
