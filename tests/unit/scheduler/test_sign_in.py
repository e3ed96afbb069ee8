"""Who a caller of the scheduler is, by its token, and which calls a limited token may make."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.identity import certificates
from heddle.identity.principals import Call, Kind, Principal
from scheduler_svc.api.sign_in import SignIn, sign_in

ADA = Principal("user:ada", pb.ROLE_OPERATOR, token="t1")
OPERATOR = Principal("user:op", pb.ROLE_ADMIN)


@dataclass
class Store:
    """Takes the place of the database: answers reads in order, and collects what is written."""

    answers: list[object] = field(default_factory=list)
    reads: list[dict[str, Any]] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    fails: bool = False

    async def read(self, work: Any) -> Any:
        self.reads.append(work.keywords)
        return self.answers.pop(0)

    async def submit(self, work: Any) -> None:
        if self.fails:
            raise HeddleError(pb.ERROR_REASON_DATABASE_UNAVAILABLE, "away")
        self.written.append(work.keywords)


@dataclass
class Caller:
    """Takes the place of a call's context."""

    header: str | None = None
    names: tuple[str, ...] = ()

    def invocation_metadata(self) -> tuple[tuple[str, str], ...] | None:
        return None if self.header is None else (("other", "x"), ("authorization", self.header))

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_subject_alternative_name": [name.encode() for name in self.names]}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def guard(store: Store) -> SignIn:
    return SignIn({"secret": OPERATOR}, store, lambda: 7)  # type: ignore[arg-type]  # what it uses of a database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The time in seconds, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr("scheduler_svc.api.sign_in.time", SimpleNamespace(monotonic=lambda: now[0]))

    def set_to(seconds: float) -> None:
        now[0] = seconds

    return set_to


async def refusal(guard: SignIn, caller: Caller) -> HeddleError:
    with pytest.raises(HeddleError) as caught:
        await guard.identify(caller)  # type: ignore[arg-type]  # what it uses of a context
    return caught.value


async def test_a_caller_is_the_owner_of_its_token(guard: SignIn, store: Store) -> None:
    """Fixed tokens are known without the database; others are looked up by their secret and the time."""
    assert await guard.identify(Caller("Bearer secret")) == OPERATOR  # type: ignore[arg-type]  # see above
    assert store.reads == []
    store.answers = [ADA]
    assert await guard.identify(Caller("Bearer other")) == ADA  # type: ignore[arg-type]  # see above
    assert store.reads == [{"secret": "other", "now": 7}]


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer secre", "Bearer secrets", "Bearer Secret", "Basic secret"]
)
async def test_an_unknown_token_is_refused(guard: SignIn, store: Store, header: str) -> None:
    """A part of a known token or another scheme is no token."""
    store.answers = [None]
    error = await refusal(guard, Caller(header))
    assert error.reason == pb.ERROR_REASON_UNAUTHENTICATED
    assert "unknown, expired or revoked" in error.message


@pytest.mark.parametrize("header", [None, ""])
async def test_without_a_token_only_the_web_apps_certificate_counts(
    guard: SignIn, header: str | None
) -> None:
    """The web app is known by its certificate; any other call without a token is told how to send one."""
    web = Caller(header, (certificates.WEB,))
    assert (await guard.identify(web)).kind is Kind.WEB  # type: ignore[arg-type]  # see above
    for names in ((), (certificates.CLIENT,)):
        error = await refusal(guard, Caller(header, names))
        assert error.reason == pb.ERROR_REASON_UNAUTHENTICATED
        assert "this call has no token" in error.message


async def test_a_certificate_is_no_replacement_for_a_wrong_token(guard: SignIn, store: Store) -> None:
    """A call with a token is judged by the token alone."""
    store.answers = [None]
    error = await refusal(guard, Caller("Bearer wrong", (certificates.WEB,)))
    assert "unknown, expired or revoked" in error.message


async def test_a_token_is_trusted_for_three_seconds(
    guard: SignIn, store: Store, clock: Callable[[float], None]
) -> None:
    """A token is looked up again after that, or at once after a revocation; an unknown one every time."""
    caller: Any = Caller("Bearer other")
    store.answers = [ADA, ADA, None, None]
    await guard.identify(caller)
    clock(1002.9)
    assert await guard.identify(caller) == ADA
    assert len(store.reads) == 1
    clock(1003.0)
    assert await guard.identify(caller) == ADA
    assert len(store.reads) == 2
    guard.forget()
    await refusal(guard, caller)
    await refusal(guard, caller)
    assert len(store.reads) == 4


async def test_other_tokens_stay_trusted_while_one_is_looked_up(guard: SignIn, store: Store) -> None:
    """Two callers in turn are each looked up once, however their calls alternate."""
    store.answers = [ADA, Principal("user:bob", pb.ROLE_VIEWER)]
    names = [
        (await guard.identify(Caller(f"Bearer {token}"))).name  # type: ignore[arg-type]  # see above
        for token in ("ada", "bob", "ada", "bob")
    ]
    assert names == ["user:ada", "user:bob"] * 2
    assert [read["secret"] for read in store.reads] == ["ada", "bob"]


async def test_a_token_that_is_no_longer_used_is_not_kept(
    guard: SignIn, store: Store, clock: Callable[[float], None]
) -> None:
    """The scheduler forgets a token's owner once another token is looked up after its three seconds."""
    store.answers = [Principal("user:gone", pb.ROLE_OPERATOR), ADA]
    gone = weakref.ref(await guard.identify(Caller("Bearer gone")))  # type: ignore[arg-type]  # see above
    assert gone() is not None
    clock(1003.1)
    await guard.identify(Caller("Bearer other"))  # type: ignore[arg-type]  # see above
    assert gone() is None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    return tmp_path


def settings(home: Path, **environ: str) -> Settings:
    return Settings.read({"HEDDLE_HOME": str(home), **environ})


async def test_the_data_folder_has_the_tokens_of_the_operator_and_the_web_app(
    home: Path, store: Store
) -> None:
    """The operator is an administrator under the name of the user; the web app is no user."""
    guard = sign_in(settings(home), store, lambda: 7)  # type: ignore[arg-type]  # what it uses of a database
    owners = [
        await guard.identify(Caller(f"Bearer {(home / name).read_text().strip()}"))  # type: ignore[arg-type]  # see above
        for name in ("token", "web-token")
    ]
    assert owners == [
        Principal("user:ada", pb.ROLE_ADMIN),
        Principal("the web app", kind=Kind.WEB),
    ]


async def test_a_token_of_the_settings_replaces_the_operators_file(home: Path, store: Store) -> None:
    """With a token in the settings, that of a file in the data folder is refused, and none is created."""
    sign_in(settings(home), store, lambda: 7)  # type: ignore[arg-type]  # what it uses of a database
    old = (home / "token").read_text().strip()
    (home / "token").unlink()
    guard = sign_in(settings(home, HEDDLE_TOKEN="given"), store, lambda: 7)  # type: ignore[arg-type]  # see above
    assert (await guard.identify(Caller("Bearer given"))).role == pb.ROLE_ADMIN  # type: ignore[arg-type]  # see above
    store.answers = [None]
    await refusal(guard, Caller(f"Bearer {old}"))
    assert not (home / "token").exists()


@pytest.mark.parametrize("error", [KeyError, OSError])
async def test_a_user_without_a_name_is_an_operator_too(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A container may run as a number that no user has: its operator is simply `user`."""

    def unknown() -> str:
        raise error("uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unknown)
    guard = sign_in(settings(home, HEDDLE_TOKEN="given"), store, lambda: 7)  # type: ignore[arg-type]  # see above
    owner = await guard.identify(Caller("Bearer given"))  # type: ignore[arg-type]  # see above
    assert owner == Principal("user", pb.ROLE_ADMIN)


def limited(*projects: str, method: str = "SchedulerService.GetRun") -> Call:
    return Call(Principal("user:ada", pb.ROLE_OPERATOR, projects=projects), method, "peer")


@pytest.mark.parametrize(
    ("method", "request_", "known", "allowed"),
    [
        ("SchedulerService.CreateRun", pb.CreateRunRequest(project="/a"), None, True),
        ("SchedulerService.CreateRun", pb.CreateRunRequest(project="/b"), None, False),
        ("SchedulerService.CreateRun", pb.CreateRunRequest(), None, False),
        ("SchedulerService.GetRun", pb.GetRunRequest(name="runs/r"), "/a", True),
        ("SchedulerService.GetRun", pb.GetRunRequest(name="runs/r"), "/b", False),
        ("SchedulerService.GetRun", pb.GetRunRequest(name="runs/r"), "", False),
        ("SchedulerService.ListTasks", pb.ListTasksRequest(parent="runs/r/epics/-"), "/a", True),
        ("SchedulerService.ListTasks", pb.ListTasksRequest(parent="runs/-/epics/-"), None, False),
        ("SchedulerService.ListTasks", pb.ListTasksRequest(parent="runs"), None, False),
        ("SchedulerService.ListTasks", pb.ListTasksRequest(parent="jobs/r"), None, False),
        ("SchedulerService.SendMessage", pb.SendMessageRequest(attempt="runs/r/epics/e"), "/a", True),
        ("SchedulerService.CollectGarbage", pb.CollectGarbageRequest(), None, False),
        ("SchedulerService.ListRuns", pb.ListRunsRequest(), None, True),
        ("IdentityService.GetCaller", pb.GetCallerRequest(), None, True),
        ("IdentityService.SignOut", pb.SignOutRequest(), None, True),
        ("IdentityService.ListTokens", pb.ListTokensRequest(), None, False),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(parent="/a"), None, True),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(parent="/b"), None, False),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(), None, True),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(parent="-"), None, True),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(parent="runs/r"), "/a", True),
        ("SchedulerService.ListCosts", pb.ListCostsRequest(parent="runs/r/epics/-"), "/b", False),
        ("SchedulerService.ListDailyCosts", pb.ListDailyCostsRequest(project="/c"), None, True),
        ("SchedulerService.ListDailyCosts", pb.ListDailyCostsRequest(project="/b"), None, False),
        ("SchedulerService.ListDailyCosts", pb.ListDailyCostsRequest(), None, True),
    ],
)
async def test_a_limited_token_reaches_its_projects_only(
    guard: SignIn, store: Store, method: str, request_: Any, known: str | None, *, allowed: bool
) -> None:
    """A call must be about one project of the token's; the project of a run is that of the database."""
    store.answers = [known] if known is not None else []
    call = limited("/a", "/c", method=method)
    if allowed:
        await guard.check_scope(call, request_)
    else:
        with pytest.raises(
            HeddleError, match="the token of user:ada is limited to /a, /c, and this"
        ) as caught:
            await guard.check_scope(call, request_)
        assert caught.value.reason == pb.ERROR_REASON_PERMISSION_DENIED
    assert store.answers == []


async def test_a_refusal_names_the_own_projects_only(guard: SignIn, store: Store) -> None:
    """The error says what the token is limited to, and nothing of what it reaches not; without limit, none is refused."""
    with pytest.raises(HeddleError, match=r"limited to /a, and this call is not about that$"):
        await guard.check_scope(limited("/a"), pb.CreateRunRequest(project="/b"))
    with pytest.raises(HeddleError, match=r"limited to /a, and this call is not about that$"):
        await guard.check_scope(limited("/a"), pb.CollectGarbageRequest())
    await guard.check_scope(limited(), pb.CollectGarbageRequest())
    assert store.reads == []


async def test_the_project_of_a_run_is_read_once(guard: SignIn, store: Store) -> None:
    """A run never changes its project; one that does not exist is looked for again."""
    store.answers = ["", "/a"]
    request = pb.GetRunRequest(name="runs/r")
    with pytest.raises(HeddleError):
        await guard.check_scope(limited("/a"), request)
    for _ in range(2):
        await guard.check_scope(limited("/a"), request)
    assert [read["run"] for read in store.reads] == ["r", "r"]


def denied(reason: "pb.ErrorReason.ValueType" = pb.ERROR_REASON_PERMISSION_DENIED) -> HeddleError:
    return HeddleError(reason, "no")


async def test_a_refusal_is_recorded_with_its_resource(guard: SignIn, store: Store) -> None:
    """The audit log gets what was asked for and why it was refused; a stream has no request yet."""
    call = limited("/a")
    await guard.note_refusal(call, pb.PauseRunRequest(name="runs/r", request_id="q"), denied())
    await guard.note_refusal(call, pb.ListTasksRequest(parent="runs/r/epics/-"), denied())
    await guard.note_refusal(call, None, denied(pb.ERROR_REASON_UNAUTHENTICATED))
    rest = {"call": call, "now": 7, "refusal": "no"}
    assert store.written == [
        {"resource": "runs/r", "request_id": "q", **rest},
        {"resource": "runs/r/epics/-", "request_id": "", **rest},
        {"resource": "", "request_id": "", **rest},
    ]


async def test_other_errors_are_not_recorded(guard: SignIn, store: Store) -> None:
    """A database that is away refuses nothing, and a refusal that cannot be recorded is still a refusal."""
    await guard.note_refusal(limited(), None, denied(pb.ERROR_REASON_DATABASE_UNAVAILABLE))
    store.fails = True
    await guard.note_refusal(limited(), None, denied())
    assert store.written == []


async def test_a_flood_of_refusals_is_cut_off(
    guard: SignIn, store: Store, clock: Callable[[float], None]
) -> None:
    """Six hundred refusals of a caller in a minute are recorded; the next minute begins again."""
    clock(1020.0)  # a minute by the clock: until 1080
    for _ in range(602):
        await guard.note_refusal(limited(), None, denied())
    clock(1079.9)
    await guard.note_refusal(limited(), None, denied())
    assert len(store.written) == 600
    clock(1080.0)
    await guard.note_refusal(limited(), None, denied())
    assert len(store.written) == 601


async def test_a_flood_hides_no_refusal_of_another_caller(guard: SignIn, store: Store) -> None:
    """Each caller has its own count, so that a flood cannot cover up an attempt of someone else."""
    for _ in range(601):
        await guard.note_refusal(limited(), None, denied())
    other = Call(Principal("user:mallory", pb.ROLE_VIEWER), "SchedulerService.PauseRun", "peer")
    await guard.note_refusal(other, None, denied())
    assert [each["call"].principal.name for each in store.written[-2:]] == ["user:ada", "user:mallory"]


@pytest.mark.parametrize(("refusals", "warnings"), [(600, 0), (601, 1), (700, 1)])
async def test_the_log_says_once_that_refusals_are_left_out(
    guard: SignIn, refusals: int, warnings: int, clock: Callable[[float], None]
) -> None:
    """The first refusal that is not recorded writes a warning; the others of that minute write nothing."""
    clock(1020.0)
    with capture_logs() as logged:
        for _ in range(refusals):
            await guard.note_refusal(limited(), None, denied())
    events = [each["event"] for each in logged]
    assert events.count("refusals_not_recorded") == warnings
    assert events.count("call_refused") == 600


async def test_a_worker_is_known_by_its_certificate(guard: SignIn) -> None:
    """A certificate of a worker makes its caller that worker, and a token of the same call counts before it."""
    names = (certificates.worker("one"),)
    found = await guard.identify(Caller(names=names))  # type: ignore[arg-type]  # what it uses of a context
    assert found == Principal("worker/one", kind=Kind.WORKER)
    found = await guard.identify(Caller("Bearer secret", names))  # type: ignore[arg-type]  # as above
    assert found == OPERATOR
