"""Terminals in worktrees: a real shell on a real pseudoterminal, bounded, and gone with its call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from agent_svc.terminals import terminals
from heddle import errors, pb
from tests.support.agents import EPIC, AgentProcess, Agents, agents, all_gone, living, own_sleep
from tests.support.scheduler import eventually

SIZE: Final = pb.TerminalSize(columns=91, rows=17)

# A shell without a user's settings, whose prompt and echo do not change with the machine.
SHELL: Final = {"SHELL": "/bin/sh"}


class Typist:
    """A terminal that a test types into."""

    def __init__(self, worker: Agents, **first: object) -> None:
        values = {"name": str(EPIC), "epoch": 1, "size": SIZE} | first
        self._typed: asyncio.Queue[pb.AgentServiceOpenTerminalRequest | None] = asyncio.Queue()
        self._typed.put_nowait(pb.AgentServiceOpenTerminalRequest(**values))  # type: ignore[arg-type]  # a test passes other types on purpose
        self.call: Any = worker.stub.OpenTerminal(self._requests())
        self.shown = ""

    async def _requests(self) -> AsyncIterator[pb.AgentServiceOpenTerminalRequest]:
        while request := await self._typed.get():
            yield request

    def type(self, text: str) -> None:
        self._typed.put_nowait(pb.AgentServiceOpenTerminalRequest(input=text.encode()))

    def resize(self, columns: int, rows: int) -> None:
        size = pb.TerminalSize(columns=columns, rows=rows)
        self._typed.put_nowait(pb.AgentServiceOpenTerminalRequest(size=size))

    def hang_up(self) -> None:
        self._typed.put_nowait(None)

    async def sees(self, text: str) -> None:
        """Returns once the terminal has shown a text."""
        async with asyncio.timeout(60):
            while text not in self.shown:
                response = await self.call.read()
                assert response is not grpc.aio.EOF, self.shown
                self.shown += response.output.decode(errors="replace")

    async def ends(self) -> str:
        """Reads until the end; returns the reason of the error, empty if there is none."""
        try:
            async with asyncio.timeout(60):
                while (response := await self.call.read()) is not grpc.aio.EOF:
                    self.shown += response.output.decode(errors="replace")
        except grpc.aio.AioRpcError as error:
            refusal = errors.from_rpc(error)
            return pb.ErrorReason.Name(refusal.reason) if refusal else error.code().name
        return ""


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)


async def test_a_shell_works_in_the_worktree(tmp_path: Path) -> None:
    """It has a terminal of the given size, follows a change of it, handles Ctrl-C, and ends with `exit`."""
    async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
        (worker.worktree / "here").touch()
        typist = Typist(worker)
        typist.type("test -t 0 && ls h*; stty size; echo $TERM\n")
        await typist.sees("17 91")
        await typist.sees("xterm-256color")
        assert "here" in typist.shown
        typist.resize(80, 24)
        typist.type("stty size\n")
        await typist.sees("24 80")
        sleep = own_sleep(60)
        typist.type(f"{sleep}\n")
        await eventually(lambda: bool(living(sleep)))
        typist.type("\x03")
        await all_gone(sleep)
        typist.type("echo con'tinues'\n")
        await typist.sees("continues")
        typist.type("exit\n")
        assert await typist.ends() == ""
        # Programs may ask a person here.
        assert "HEDDLE_TERMINAL" not in typist.shown


async def test_a_terminal_takes_its_processes_with_it(tmp_path: Path) -> None:
    """However the call ends, nothing of the terminal is left: not even what ran in the background on its own."""
    async with agents(tmp_path, HEDDLE_TERMINAL="true", HEDDLE_STOP_GRACE="0.5") as worker:
        for end in (Typist.hang_up, lambda each: each.call.cancel()):
            sleep = own_sleep(60)
            typist = Typist(worker)
            typist.type(f"setsid {sleep} & nohup {sleep} & {sleep}\n")
            await eventually(lambda sleep=sleep: len(living(sleep)) == 3)  # type: ignore[misc]  # bound in the loop
            end(typist)
            await all_gone(sleep)
        await eventually(lambda: not list((tmp_path / "home" / "terminals").glob("*")))


async def test_a_killed_worker_leaves_no_terminal(tmp_path: Path) -> None:
    """If agent_svc is killed, what ran in its terminals ends too, and their folders are removed at its next start."""
    worker_process = AgentProcess(tmp_path, HEDDLE_TERMINAL="true", **SHELL)
    sleep = own_sleep(60)
    async with worker_process.serving() as worker:
        typist = Typist(worker)
        typist.type(f"exec {sleep}\n")
        await eventually(lambda: bool(living(sleep)))
        assert worker_process.process is not None
        worker_process.process.kill()
        await all_gone(sleep)
    async with worker_process.serving() as worker:
        await worker.stub.GetWorker(pb.GetWorkerRequest())
        await eventually(lambda: not list((tmp_path / "home" / "terminals").glob("*")))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"name": "runs/r/epics/other"}, "ERROR_REASON_INVALID_FIELD"),
        ({"name": "runs/r/epics/../../x"}, "ERROR_REASON_INVALID_FIELD"),
        ({"name": "/etc"}, "ERROR_REASON_INVALID_FIELD"),
        ({"name": ""}, "ERROR_REASON_INVALID_FIELD"),
        ({"size": pb.TerminalSize(columns=0, rows=10)}, "ERROR_REASON_INVALID_FIELD"),
        ({"size": pb.TerminalSize(columns=1001, rows=10)}, "ERROR_REASON_INVALID_FIELD"),
    ],
)
async def test_only_worktrees_have_terminals(tmp_path: Path, first: dict[str, object], reason: str) -> None:
    """A name that is no epic with a worktree here, or an impossible size, is refused."""
    async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
        assert await Typist(worker, **first).ends() == reason


async def test_a_worktree_that_is_a_link_has_no_terminal(tmp_path: Path) -> None:
    """A worktree that was replaced by a link leads nowhere."""
    async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
        worker.worktree.rename(tmp_path / "elsewhere")
        worker.worktree.symlink_to(tmp_path / "elsewhere")
        assert await Typist(worker).ends() == "ERROR_REASON_INVALID_FIELD"


async def test_terminals_are_an_opt_in(tmp_path: Path) -> None:
    """Without HEDDLE_TERMINAL there is none, and the worker says so."""
    async with agents(tmp_path) as worker:
        assert not (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker.terminals
        assert await Typist(worker).ends() == "ERROR_REASON_TERMINALS_OFF"
    async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
        assert (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker.terminals


async def test_terminals_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than MOST is refused; one that has ended makes room."""
    monkeypatch.setattr(terminals, "MOST", 1)
    async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
        first = Typist(worker)
        first.type("echo re'ady'\n")
        await first.sees("ready")
        assert await Typist(worker).ends() == "ERROR_REASON_TOO_MANY_TERMINALS"
        first.type("exit\n")
        assert await first.ends() == ""
        second = Typist(worker)
        second.type("x" * (terminals.MOST_INPUT + 1))
        assert await second.ends() == "ERROR_REASON_TERMINAL_ENDED"


async def test_an_idle_terminal_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which nothing is typed or shown ends; so does one at its longest time, whatever it shows."""
    for idle, longest, typed in ((0.5, 60.0, ""), (60.0, 0.5, "while :; do echo x; sleep 0.05; done\n")):
        monkeypatch.setattr(terminals, "IDLE", idle)
        monkeypatch.setattr(terminals, "LONGEST", longest)
        async with agents(tmp_path, HEDDLE_TERMINAL="true") as worker:
            typist = Typist(worker)
            typist.type(typed)
            assert await typist.ends() == "ERROR_REASON_TERMINAL_ENDED"


async def test_a_worker_that_shuts_down_ends_its_terminals(tmp_path: Path) -> None:
    """The call ends, and the shell with it."""
    sleep = own_sleep(60)
    worker_process = AgentProcess(tmp_path, HEDDLE_TERMINAL="true", **SHELL)
    async with worker_process.serving() as worker:
        typist = Typist(worker)
        typist.type(f"{sleep}\n")
        await eventually(lambda: bool(living(sleep)))
        assert worker_process.process is not None
        worker_process.process.terminate()
        assert await typist.ends() == "ERROR_REASON_TERMINAL_ENDED"
        assert not living(sleep)
