"""Who opens terminals: admins of the whole installation; and the record of who did, where and for how long."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.identity import guard, token_file
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake

HOME: Final = "home"
SIZE: Final = pb.TerminalSize(columns=80, rows=24)


@pytest.fixture
def worker() -> FakeWorker:
    fake = FakeWorker()
    fake.terminals = True
    return fake


@pytest.fixture
async def scheduler(tmp_path: Path, worker: FakeWorker) -> AsyncIterator[Scheduler]:
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path / HOME, guard=None) as served,
    ):
        yield served


@pytest.fixture
async def admin(scheduler: Scheduler, tmp_path: Path) -> AsyncIterator[HeddleClient]:
    token = token_file.read(token_file.operator_file(tmp_path / HOME))
    async with HeddleClient(scheduler.address, token=token, patience=0) as client:
        yield client


@pytest.fixture
async def epic(admin: HeddleClient) -> str:
    run = await admin.create_run(pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository"))
    return f"{run.name}/epics/a"


class Keyboard:
    """What a test types, in time."""

    def __init__(self) -> None:
        self._keys: asyncio.Queue[bytes | None] = asyncio.Queue()

    def type(self, keys: bytes | None) -> None:
        self._keys.put_nowait(keys)

    async def typed(self) -> AsyncIterator[bytes]:
        while keys := await self._keys.get():
            yield keys


async def refused(client: HeddleClient, epic: str, size: pb.TerminalSize = SIZE) -> errors.HeddleError:
    with pytest.raises(errors.HeddleError) as caught:
        async for _ in client.open_terminal(epic, size, Keyboard().typed()):
            pass
    return caught.value


async def entries(admin: HeddleClient) -> list[pb.AuditEntry]:
    found = await admin.list_audit_entries()
    return [each for each in found if each.method == "SchedulerService.OpenTerminal"]


async def test_a_terminal_is_relayed_and_recorded(admin: HeddleClient, epic: str) -> None:
    """What is typed reaches the worker; the log has who opened it, where, and for how long."""
    keyboard = Keyboard()
    terminal = admin.open_terminal(epic, SIZE, keyboard.typed())
    assert await anext(terminal) == b""
    keyboard.type(b"ls\n")
    assert await anext(terminal) == b"ls\n"
    (opened,) = await entries(admin)
    assert (opened.resource, opened.refusal, opened.detail) == (epic, "", "opened")
    assert opened.user.startswith("user")
    keyboard.type(None)
    assert [output async for output in terminal] == []

    async def recorded() -> bool:
        return len(await entries(admin)) == 2

    await eventually(recorded)
    assert (await entries(admin))[0].detail.endswith("its shell exited")


async def test_a_terminal_that_is_left_is_recorded(admin: HeddleClient, epic: str) -> None:
    """A caller that goes away leaves the time in the log too."""
    terminal = admin.open_terminal(epic, SIZE, Keyboard().typed())
    await anext(terminal)
    await terminal.aclose()

    async def recorded() -> bool:
        found = await entries(admin)
        return len(found) == 2 and found[0].detail.endswith("closed by its user")

    await eventually(recorded)


async def test_only_admins_open_terminals(
    scheduler: Scheduler, admin: HeddleClient, epic: str, tmp_path: Path
) -> None:
    """Viewers, operators, also of one project, unknown callers and the web app itself are refused, and recorded."""
    tokens = {"unknown": "heddle_" + "x" * 43}
    for role in (pb.ROLE_VIEWER, pb.ROLE_OPERATOR):
        made = await admin.create_token(pb.CreateTokenRequest(user=f"role-{role}", role=role))
        tokens[pb.Role.Name(role)] = made.secret
    limited = pb.CreateTokenRequest(user="eve", role=pb.ROLE_OPERATOR, projects=["/repository"])
    tokens["limited"] = (await admin.create_token(limited)).secret
    tokens["web"] = token_file.read(token_file.web_file(tmp_path / HOME))
    for who, token in tokens.items():
        async with HeddleClient(scheduler.address, token=token, patience=0) as client:
            error = await refused(client, epic)
        wanted = "UNAUTHENTICATED" if who == "unknown" else "PERMISSION_DENIED"
        assert pb.ErrorReason.Name(error.reason) == f"ERROR_REASON_{wanted}", who
    assert len([each for each in await entries(admin) if each.refusal]) == len(tokens)


async def test_a_revoked_token_loses_its_terminal(
    scheduler: Scheduler, admin: HeddleClient, epic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal ends soon after the token of its caller is revoked, and the log says so."""
    monkeypatch.setattr(guard, "LOOK_AGAIN", 0.05)
    made = await admin.create_token(pb.CreateTokenRequest(user="eve", role=pb.ROLE_ADMIN))
    async with HeddleClient(scheduler.address, token=made.secret, patience=0) as eve:
        terminal = eve.open_terminal(epic, SIZE, Keyboard().typed())
        await anext(terminal)
        await admin.revoke_token(made.token.name)
        with pytest.raises(errors.HeddleError) as caught:
            async for _ in terminal:
                pass
    assert caught.value.reason == pb.ERROR_REASON_UNAUTHENTICATED

    async def recorded() -> bool:
        return [each.user for each in await entries(admin) if each.detail.startswith("open for")] == [
            "user:eve"
        ]

    await eventually(recorded)


async def test_a_terminal_needs_an_epic_and_a_worker_that_allows_it(
    admin: HeddleClient, epic: str, worker: FakeWorker
) -> None:
    """Other names are refused before a worker is asked, and so is a worker without the operator's opt-in."""
    for name in ("", "/etc", "runs/r/epics/../..", f"{epic}/tasks/one", "runs/x/epics/-"):
        assert (await refused(admin, name)).reason == pb.ERROR_REASON_INVALID_FIELD, name
    assert (await refused(admin, epic.replace("/a", "/b"))).reason == pb.ERROR_REASON_NOT_FOUND
    worker.terminals = False

    async def is_off() -> bool:
        return not (await admin.list_workers())[0].terminals

    await eventually(is_off)
    assert (await refused(admin, epic)).reason == pb.ERROR_REASON_TERMINALS_OFF
    assert await entries(admin) == []
