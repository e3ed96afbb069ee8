"""agent_svc in a test: in this process, or as a separate process that can be killed."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import psutil
from google.protobuf.duration_pb2 import Duration

from agent_svc.app import build
from heddle import pb
from heddle.config import Settings
from heddle.names import EpicName
from heddle.rpc.channels import open_channel
from heddle.testing.driver_stage import make_worktree
from heddle.v1.agent_service_pb2_grpc import AgentServiceStub
from tests.support.services import new_socket, serving

# Seconds for which a test waits for an expected event.
DEADLINE = 90.0

Step = pb.ScriptStep

# The epic in whose worktree sessions start.
EPIC = EpicName("r", "e")


class HeldTimer:
    """Takes the place of `running_time.Timer` in one module: the limit is over when the test says so."""

    newest: "HeldTimer"

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self.seconds = seconds
        self.end = end
        HeldTimer.newest = self

    def cancel(self) -> None:
        self.end = lambda: None


def attempt_name(task: str = "t", number: int = 1) -> str:
    return f"runs/r/epics/e/tasks/{task}/attempts/{number}"


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(value * 1e9))
    return duration


class Agents:
    """A client of one agent_svc, with a worktree."""

    def __init__(self, channel: grpc.aio.Channel, worktree: Path) -> None:
        self.channel = channel
        self.stub = AgentServiceStub(channel)
        self.worktree = worktree

    def attempt_name(self, task: str = "t", number: int = 1) -> str:
        """Returns the name of an attempt in `worktree`."""
        run, epic = self.worktree.parts[-2:]
        return f"runs/{run}/epics/{epic}/tasks/{task}/attempts/{number}"

    async def start(
        self,
        agent: str = "scripted",
        *,
        task: str = "t",
        number: int = 1,
        script: Iterable[pb.ScriptStep] = (),
        checks: Mapping[str, str] | None = None,
        timeout: float | None = None,
        prompt: str = "Do it",
        environment: Mapping[str, str] | None = None,
        epoch: int = 1,
        permissions: pb.Permissions | None = None,
        resume: str = "",
        model: str = "",
        max_turns: int | None = None,
        silence: float | None = None,
        budget: int | None = None,
        setup: pb.Setup | None = None,
        background_wait: float | None = None,
    ) -> str:
        """Starts a session without pauses between pieces of output; returns the attempt's name."""
        request = pb.StartSessionRequest(
            attempt=self.attempt_name(task, number),
            epoch=epoch,
            agent=agent,
            prompt=prompt,
            script=script,
            checks=[pb.Check(name=name, run=run) for name, run in (checks or {}).items()],
            timeout=None if timeout is None else seconds(timeout),
            environment={"HEDDLE_SCRIPT_SPEED": "0", **(environment or {})},
            permissions=permissions,
            resume_attempt=resume,
            model=model,
            max_turns=max_turns,
            silence=None if silence is None else seconds(silence),
            budget_usd_micros=budget,
            setup=setup,
            background_wait=None if background_wait is None else seconds(background_wait),
        )
        await self.stub.StartSession(request)
        return request.attempt

    async def watch(self, attempt: str, after: int = 0) -> AsyncIterator[pb.Event]:
        request = pb.AgentServiceWatchSessionRequest(attempt=attempt, after_sequence=after)
        async with asyncio.timeout(DEADLINE):
            async for response in self.stub.WatchSession(request):
                for event in response.events:
                    yield event

    async def events(self, attempt: str, after: int = 0) -> list[pb.Event]:
        """Returns all events after `after`, once the session has finished."""
        return [event async for event in self.watch(attempt, after)]

    async def run(
        self,
        agent: str = "scripted",
        *,
        task: str = "t",
        number: int = 1,
        script: Iterable[pb.ScriptStep] = (),
        checks: Mapping[str, str] | None = None,
        timeout: float | None = None,
        prompt: str = "Do it",
        environment: Mapping[str, str] | None = None,
        permissions: pb.Permissions | None = None,
        resume: str = "",
        model: str = "",
        max_turns: int | None = None,
        budget: int | None = None,
        background_wait: float | None = None,
    ) -> list[pb.Event]:
        """Starts a session and returns all of its events."""
        attempt = await self.start(
            agent,
            task=task,
            number=number,
            script=script,
            checks=checks,
            timeout=timeout,
            prompt=prompt,
            environment=environment,
            permissions=permissions,
            resume=resume,
            model=model,
            max_turns=max_turns,
            budget=budget,
            background_wait=background_wait,
        )
        return await self.events(attempt)

    async def until(self, attempt: str, seen: Callable[[pb.Event], bool]) -> pb.Event:
        """Returns the first event that `seen` accepts."""
        async for event in self.watch(attempt):
            if seen(event):
                return event
        raise AssertionError("the session ended without that event")

    async def until_says(self, attempt: str, text: str) -> pb.Event:
        return await self.until(attempt, lambda event: text in event.output.text)

    async def stop(self, attempt: str, grace: float | None = None, epoch: int = 1) -> pb.Session:
        request = pb.StopSessionRequest(attempt=attempt, epoch=epoch, reason="the test says so")
        if grace is not None:
            request.grace.CopyFrom(seconds(grace))
        return (await self.stub.StopSession(request, timeout=DEADLINE)).session

    async def session(self, attempt: str) -> pb.Session:
        return (await self.stub.GetSession(pb.GetSessionRequest(attempt=attempt))).session

    async def answer(self, attempt: str, approval: str, *, approved: bool, message: str = "") -> None:
        await self.stub.AnswerApproval(
            pb.AnswerApprovalRequest(
                attempt=attempt,
                epoch=1,
                approval_id=approval,
                approved=approved,
                message=message,
                actor="user:ada",
            )
        )

    async def tell(self, attempt: str, text: str) -> None:
        """Sends a message to the agent, as its operator does."""
        await self.stub.SendMessage(pb.AgentServiceSendMessageRequest(attempt=attempt, epoch=1, text=text))

    async def fetch(self, attempt: str, artifact: str) -> bytes:
        request = pb.FetchArtifactRequest(attempt=attempt, artifact=artifact)
        return b"".join([part.data async for part in self.stub.FetchArtifact(request)])


def settings(home: Path, **environ: str) -> Settings:
    """Returns settings of a worker whose agents get half a second between SIGTERM and SIGKILL."""
    return Settings.read(
        {"HEDDLE_HOME": str(home), "HEDDLE_STOP_GRACE": "0.5", "HEDDLE_MIN_FREE_BYTES": "0", **environ}
    )


@asynccontextmanager
async def agents(folder: Path, worktree: Path | None = None, /, **environ: str) -> AsyncIterator[Agents]:
    """Serves agent_svc in this process over `worktree`, or else an empty one below the HEDDLE_HOME in `folder`."""
    worktree = worktree or make_worktree(folder / "home", EPIC)
    async with serving(build(settings(folder / "home", **environ))) as channel:
        yield Agents(channel, worktree)


class AgentProcess:
    """agent_svc as a child process of the test, which can be killed and started again."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.worktree = make_worktree(folder / "home", EPIC)
        self._environment = {
            **os.environ,
            "HEDDLE_HOME": str(folder / "home"),
            "HEDDLE_STOP_GRACE": "0.5",
            "HEDDLE_MIN_FREE_BYTES": "0",
            **environ,
        }
        self.arguments = ["-m", "agent_svc"]
        self.process: psutil.Popen | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Agents]:
        """Starts it, yields a client, and kills it if it still runs."""
        # Another socket each time: gRPC may keep a dead connection to an address for a moment.
        address = new_socket()
        environment = {**self._environment, "HEDDLE_LISTEN": address}
        process = psutil.Popen([sys.executable, *self.arguments], env=environment)
        self.process = process
        try:
            async with open_channel(address) as channel:
                async with asyncio.timeout(DEADLINE):
                    await channel.channel_ready()
                yield Agents(channel, self.worktree)
        finally:
            if process.poll() is None:
                process.kill()
            await asyncio.to_thread(process.wait)


def payloads(events: Sequence[pb.Event], kind: str) -> list[pb.Event]:
    return [event for event in events if event.WhichOneof("payload") == kind]


def kinds(events: Sequence[pb.Event]) -> list[str]:
    return [event.WhichOneof("payload") or "" for event in events]


def output(events: Sequence[pb.Event], stream: "pb.OutputStream.ValueType" = pb.OUTPUT_STREAM_STDOUT) -> str:
    return "".join(event.output.text for event in events if event.output.stream == stream)


def ending(events: Sequence[pb.Event]) -> tuple[str, str]:
    """Returns outcome and reason of the last event, which must be session_finished."""
    assert events[-1].HasField("session_finished")
    finished = events[-1].session_finished
    return pb.Outcome.Name(finished.outcome).removeprefix("OUTCOME_"), finished.reason


def own_sleep(seconds: int) -> str:
    """Returns a command that no other process of this machine has. A process id inside a sandbox is not valid outside."""
    return f"sleep {seconds}.{uuid.uuid4().int}"


def living(marker: str) -> list[psutil.Process]:
    """Returns the processes whose command line contains `marker`, except zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if marker in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def all_gone(marker: str) -> None:
    """Returns once no process has `marker` in its command line; fails after the deadline."""
    async with asyncio.timeout(DEADLINE):
        while living(marker):  # noqa: ASYNC110 (processes of others have no event to wait for)
            await asyncio.sleep(0.02)
