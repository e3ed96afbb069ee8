"""Who may call what."""

import pytest
from google.protobuf.descriptor import FileDescriptor

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity import access
from heddle.identity.principals import SCHEDULER, Kind, Principal
from heddle.v1 import agent_service_pb2, identity_service_pb2, scheduler_service_pb2, worktree_service_pb2

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (agent_service_pb2, identity_service_pb2, scheduler_service_pb2, worktree_service_pb2)
)
METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
ROLES = (pb.ROLE_UNSPECIFIED, pb.ROLE_VIEWER, pb.ROLE_OPERATOR, pb.ROLE_ADMIN)
CALLERS = {
    "scheduler": SCHEDULER,
    "web": Principal("the web app", kind=Kind.WEB),
    "worker": Principal("worker/one", kind=Kind.WORKER),
    **{pb.Role.Name(role): Principal("user:ada", role) for role in ROLES},
}

# What each caller may do, by its words in the names of RPCs: an independent statement of the table.
READS = ("Get", "List", "Watch", "Forecast", "Read")
OF_ADMINS = {"CreateToken", "ListTokens", "RevokeToken", "ListAuditEntries", "OpenTerminal"}
OF_VIEWERS = {"CreateSignInCode", "SignOut", "UpdatePreferences"}


def expected(method: str) -> set[str]:
    service, name = method.removeprefix("/heddle.v1.").split("/")
    if service in {"AgentService", "WorktreeService"}:
        return {"scheduler"}
    if name == "SignIn":
        return {"web"}
    if name == "RegisterWorker":
        return {"worker"}
    if name in OF_ADMINS:
        return {"ROLE_ADMIN"}
    if name.startswith(READS) or name in OF_VIEWERS:
        return {"scheduler", "web", "ROLE_VIEWER", "ROLE_OPERATOR", "ROLE_ADMIN"}
    return {"ROLE_OPERATOR", "ROLE_ADMIN"}


def refusal(principal: Principal, method: str) -> HeddleError | None:
    try:
        access.check(principal, method)
    except HeddleError as error:
        return error
    return None


def allowed(method: str) -> set[str]:
    return {name for name, principal in CALLERS.items() if refusal(principal, method) is None}


@pytest.mark.parametrize("method", METHODS)
def test_each_rpc_admits_its_callers_only(method: str) -> None:
    """Every RPC of every service admits exactly the callers that it is for."""
    assert allowed(method) == expected(method)


def test_the_table_has_no_rpc_that_does_not_exist() -> None:
    """A renamed RPC does not leave its old name in the table."""
    assert {method for method in access.REQUIRED if method.startswith("/heddle.")} == set(METHODS)


def test_what_is_not_in_the_table_is_refused() -> None:
    """An RPC that the table does not know is refused, whoever calls."""
    assert allowed("/heddle.v1.SchedulerService/NewCall") == set()


def test_a_refusal_says_what_is_missing() -> None:
    """The error names the call, the role that it needs and that of the caller."""
    error = refusal(CALLERS["ROLE_VIEWER"], "/heddle.v1.SchedulerService/CreateRun")
    assert error is not None
    assert error.reason == pb.ERROR_REASON_PERMISSION_DENIED
    assert error.message == "CreateRun needs the role operator; user:ada has the role viewer"


def test_a_browser_that_only_reads_is_told_to_sign_in_again() -> None:
    """Its person may have a higher role, so the error does not name that of the browser."""
    browser = Principal("user:ada", pb.ROLE_VIEWER, reading=True)
    error = refusal(browser, "/heddle.v1.SchedulerService/CreateRun")
    assert error is not None
    assert error.message.startswith("CreateRun changes something, and this browser can only read")
    assert refusal(browser, "/heddle.v1.SchedulerService/GetRun") is None
