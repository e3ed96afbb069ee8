"""Who may call the scheduler: tokens, roles, projects, sign-ins and the audit log."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.identity import token_file
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake

HOME = "home"


@pytest.fixture
async def scheduler(tmp_path: Path, database_url: str) -> AsyncIterator[Scheduler]:
    async with (
        serving_fake(FakeWorker()) as worker,
        scheduling(worker, tmp_path / HOME, database_url, guard=None) as served,
    ):
        yield served


@pytest.fixture
async def admin(scheduler: Scheduler, tmp_path: Path) -> AsyncIterator[HeddleClient]:
    token = token_file.read(token_file.operator_file(tmp_path / HOME))
    async with HeddleClient(scheduler.address, token=token, patience=0) as client:
        yield client


@pytest.fixture
async def web(scheduler: Scheduler, tmp_path: Path) -> AsyncIterator[HeddleClient]:
    token = token_file.read(token_file.web_file(tmp_path / HOME))
    async with HeddleClient(scheduler.address, token=token, patience=0) as client:
        yield client


def using(scheduler: Scheduler, token: str) -> HeddleClient:
    return HeddleClient(scheduler.address, token=token, patience=0)


def new_run(project: str = "/repository") -> pb.CreateRunRequest:
    return pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project=project)


async def refusal(client: HeddleClient, request: pb.CreateRunRequest) -> errors.HeddleError:
    with pytest.raises(errors.HeddleError) as caught:
        await client.create_run(request)
    return caught.value


@pytest.mark.parametrize("token", ["", "wrong", "heddle_" + "x" * 43, "schl\u00fcssel\n\0"])
async def test_an_unknown_caller_is_refused(scheduler: Scheduler, token: str) -> None:
    """Without a valid token, no call is served, whether it reads or changes, and the error says what to send."""
    async with using(scheduler, token) as client:
        error = await refusal(client, new_run())
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert "heddle token" in error.message
        with pytest.raises(errors.HeddleError):
            await client.list_runs()
        with pytest.raises(errors.HeddleError):
            async for _ in client.watch_run("runs/x"):
                pass
    async with grpc.aio.insecure_channel(scheduler.address) as channel:
        reflection: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = reflection(iter([b""]), metadata=(("authorization", f"Bearer {token!a}"),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_actor_is_the_owner_of_the_token(scheduler: Scheduler, admin: HeddleClient) -> None:
    """What a caller does is recorded under the name that its token has."""
    made = await admin.create_token(pb.CreateTokenRequest(user="ci", title="builds"))
    async with using(scheduler, made.secret) as ci:
        assert (await ci.get_caller()).user == "user:ci"
        run = await ci.create_run(new_run())
    assert run.creator == "user:ci"
    created = await anext(admin.list_events(run.name))
    assert created.actor == "user:ci"


async def test_a_viewer_reads_only(scheduler: Scheduler, admin: HeddleClient) -> None:
    """The role viewer reads runs and changes nothing; the error names the missing role."""
    made = await admin.create_token(pb.CreateTokenRequest(user="eve", role=pb.ROLE_VIEWER))
    async with using(scheduler, made.secret) as viewer:
        assert await viewer.list_runs() == pb.ListRunsResponse()
        error = await refusal(viewer, new_run())
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert "operator" in error.message
    assert "viewer" in error.message


async def test_an_operator_creates_no_tokens(scheduler: Scheduler, admin: HeddleClient) -> None:
    """Only an admin gives tokens to others, and reads the audit log."""
    made = await admin.create_token(pb.CreateTokenRequest(user="ada"))
    async with using(scheduler, made.secret) as operator:
        with pytest.raises(errors.HeddleError, match="admin"):
            await operator.create_token(pb.CreateTokenRequest(user="more", role=pb.ROLE_ADMIN))
        with pytest.raises(errors.HeddleError, match="admin"):
            await operator.list_audit_entries()


async def test_a_token_for_one_project_reaches_no_other(scheduler: Scheduler, admin: HeddleClient) -> None:
    """A limited token sees, creates and changes runs of its projects only."""
    other = await admin.create_run(new_run("/other"))
    made = await admin.create_token(pb.CreateTokenRequest(user="ci", projects=["/repository"]))
    async with using(scheduler, made.secret) as limited:
        own = await limited.create_run(new_run())
        assert [run.name for run in (await limited.list_runs()).runs] == [own.name]
        assert (await limited.get_run(own.name)).name == own.name
        for call in (limited.get_run, limited.pause_run, limited.list_epics):
            with pytest.raises(errors.HeddleError, match="limited to /repository") as caught:
                await call(other.name)
            assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert "limited to /repository" in (await refusal(limited, new_run("/other"))).message
        assert "/other" not in caught.value.message
        with pytest.raises(errors.HeddleError) as unknown:
            await limited.get_run("runs/absent")
        assert unknown.value.message == caught.value.message


async def test_a_revoked_token_ends_at_once(scheduler: Scheduler, admin: HeddleClient) -> None:
    """After a revocation the next call is refused, and an open stream ends with the reason."""
    run = await admin.create_run(new_run())
    made = await admin.create_token(pb.CreateTokenRequest(user="eve"))
    async with using(scheduler, made.secret) as eve:
        stream = eve.watch_runs()
        await anext(stream)
        await admin.revoke_token(made.token.name)
        await admin.revoke_token(made.token.name)
        with pytest.raises(errors.HeddleError) as caught:
            await eve.get_run(run.name)
        assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(errors.HeddleError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert await admin.list_tokens() == []


async def test_a_browser_signs_in_once_per_code(
    scheduler: Scheduler, admin: HeddleClient, web: HeddleClient
) -> None:
    """A code begins one session, as its creator. It changes runs with the whole token only, and ends when it signs out."""
    code = (await admin.create_sign_in_code()).code
    session = await web.sign_in(code)
    assert session.user == (await admin.get_caller()).user
    with pytest.raises(errors.HeddleError, match="was used"):
        await web.sign_in(code)
    async with using(scheduler, session.token) as browser:
        run = await browser.create_run(new_run())
        assert run.creator == session.user
        async with using(scheduler, token_file.reading_part(session.token)) as reading:
            assert (await reading.get_run(run.name)).name == run.name
            assert (await reading.get_caller()).role == pb.ROLE_VIEWER
            assert "this browser can only read" in (await refusal(reading, new_run())).message
            more = await web.sign_in((await reading.create_sign_in_code()).code)
            assert more.role == pb.ROLE_VIEWER
            await reading.sign_out()
        assert [token.session for token in await admin.list_tokens()] == [True]
        with pytest.raises(errors.HeddleError, match="revoked"):
            await browser.list_runs()


async def test_preferences_belong_to_a_person(scheduler: Scheduler, admin: HeddleClient) -> None:
    """What one person has chosen is not what another gets; without a choice it is empty, and too long ones are refused."""
    assert await admin.get_preferences() == pb.Preferences()
    chosen = pb.Preferences(
        agent="claude", editor="vscode", theme=pb.THEME_DARK, notify=[pb.OCCASION_WAITING]
    )
    await admin.update_preferences(pb.Preferences(agent="codex"))
    assert await admin.update_preferences(chosen) == chosen
    assert await admin.get_preferences() == chosen
    made = await admin.create_token(pb.CreateTokenRequest(user="ada", role=pb.ROLE_VIEWER))
    async with using(scheduler, made.secret) as ada:
        assert await ada.get_preferences() == pb.Preferences()
    for field in ("agent", "editor"):
        longest, longer = pb.Preferences(), pb.Preferences()
        setattr(longest, field, "ä" * 200)
        setattr(longer, field, "ä" * 201)
        assert await admin.update_preferences(longest) == longest
        with pytest.raises(errors.HeddleError, match="200 characters"):
            await admin.update_preferences(longer)


async def test_a_token_lasts_366_days_at_most(admin: HeddleClient) -> None:
    """A token of 366 days or of a microsecond is created; longer ones and those without a duration are refused."""
    day = 24 * 3600

    async def created(seconds: int, nanos: int = 0) -> pb.Token:
        lifetime = Duration(seconds=seconds, nanos=nanos)
        return (await admin.create_token(pb.CreateTokenRequest(title="t", lifetime=lifetime))).token

    longest = await created(366 * day)
    assert longest.expire_time.seconds - longest.create_time.seconds == 366 * day
    assert (await created(0, 1_000)).name
    for seconds, nanos in ((366 * day, 1_000), (0, 0), (-1, 0)):
        with pytest.raises(errors.HeddleError, match="at most 366 days") as caught:
            await created(seconds, nanos)
        assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD


async def test_a_user_has_a_limited_number_of_codes(admin: HeddleClient, web: HeddleClient) -> None:
    """A caller cannot fill the database with codes: of the unused ones, the newest 20 work."""
    codes = [(await admin.create_sign_in_code()).code for _ in range(21)]
    with pytest.raises(errors.HeddleError, match="unknown"):
        await web.sign_in(codes[0])
    for code in (codes[1], codes[20]):
        assert (await web.sign_in(code)).token


async def test_a_code_is_no_token(scheduler: Scheduler, admin: HeddleClient) -> None:
    """The code of a link, which may be seen on a screen, works for the web app only."""
    code = (await admin.create_sign_in_code()).code
    async with using(scheduler, code) as client:
        with pytest.raises(errors.HeddleError, match="unknown"):
            await client.list_runs()
    with pytest.raises(errors.HeddleError, match="only the web"):
        await admin.sign_in(code)


async def test_the_web_app_only_reads(web: HeddleClient) -> None:
    """The web app's own credential changes nothing: each change has the token of a person."""
    assert await web.list_runs() == pb.ListRunsResponse()
    error = await refusal(web, new_run())
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


async def test_changes_and_refusals_are_audited(scheduler: Scheduler, admin: HeddleClient) -> None:
    """The audit log has each change and each refusal, with caller, call, resource and request id."""
    request = new_run()
    request.request_id = "once"
    run = await admin.create_run(request)
    await admin.create_run(request)
    async with using(scheduler, "wrong") as stranger:
        with pytest.raises(errors.HeddleError):
            await stranger.pause_run(run.name)
    refused, done = await admin.list_audit_entries()
    user = (await admin.get_caller()).user
    assert (done.user, done.method, done.resource) == (user, "SchedulerService.CreateRun", run.name)
    assert (done.request_id, done.refusal) == ("once", "")
    assert done.peer.startswith("ipv4:127.0.0.1:")
    assert (refused.user, refused.method, refused.resource) == ("", "SchedulerService.PauseRun", run.name)
    assert "unknown, expired or revoked" in refused.refusal
    assert await admin.list_audit_entries(before=refused.sequence) == [done]
    assert await admin.list_audit_entries(user=user) == [done]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.CreateTokenRequest(user="a b"), "user"),
        (pb.CreateTokenRequest(user="x" * 65), "user"),
        (pb.CreateTokenRequest(role=pb.ROLE_ADMIN, projects=["/x"]), "projects"),
    ],
)
async def test_a_malformed_token_is_refused(
    admin: HeddleClient, request_: pb.CreateTokenRequest, words: str
) -> None:
    """The error names the field, and no token is created."""
    with pytest.raises(errors.HeddleError, match=words) as caught:
        await admin.create_token(request_)
    assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD
    assert await admin.list_tokens() == []
