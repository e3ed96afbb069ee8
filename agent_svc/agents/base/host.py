"""The part that all hosts share: the connection to agent_svc, the operator's messages, and the outcome.

A host is `sys.exit(run_host(drive))`, where `drive` is a coroutine function that receives the
Host, drives its agent, and returns when the work is done. If the agent fails, it raises
AgentFailedError with a plain reason.
"""

import asyncio
import os
import secrets
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from agent_svc.agents.base import background_work, protocol
from agent_svc.agents.base.host_driver import limited
from agent_svc.agents.base.images import Picture, keep
from agent_svc.agents.base.readable_folders import readable_folders
from agent_svc.processes.process_table import children, parents
from agent_svc.processes.supervisor import Servers, send
from agent_svc.text import system
from heddle import pb
from heddle.timing import running_time

# A prompt has at most 200 KB, a script may have more.
MAX_LINE_BYTES: Final = 16 << 20

# The seconds that background processes have to end after SIGTERM, and between two checks.
ENDING: Final = 2.0
LOOK: Final = 0.05

RESUMED: Final = """\
Your session was interrupted and is resumed now. {files} The task was:

{prompt}"""

FILES_KEPT: Final = "Your files are as you left them."
FILES_GONE: Final = "Files that you changed may be back as they were: look before you rely on them."


def resume_prompt(session: pb.StartSessionRequest, prompt: str = "") -> str:
    """Returns the prompt for an agent that resumes its own session. `prompt` is its task; empty: the session's."""
    files = " ".join([FILES_KEPT if session.files_kept else FILES_GONE, *map(_told, session.answers)])
    return RESUMED.format(files=files, prompt=prompt or session.prompt)


def _told(answer: pb.ApprovalAnswer) -> str:
    asked = answer.approval
    call = f"{asked.tool}({asked.target})" if asked.tool else asked.question
    words = f", and said: {answer.message}" if answer.message else ""
    if answer.approved:
        return f"The operator allowed {call}{words}. Make that call again; it needs no further permission."
    return f"The operator denied {call}{words}. Continue without it."


class AgentFailedError(Exception):
    """The agent could not do its work; the message says in plain language why, and what to do."""

    outcome: "pb.Outcome.ValueType" = pb.OUTCOME_FAILED
    # Seconds to wait before the next call of the provider. None: the provider did not say.
    retry_after: float | None = None
    # When a limit ends, in seconds since 1970. None: the provider did not say.
    retry_at: float | None = None


class OverBudgetError(AgentFailedError):
    """The agent stopped because it reached its budget."""

    outcome = pb.OUTCOME_OVER_BUDGET


class ProviderError(AgentFailedError):
    """The model's provider accepts no work; provider_failures.py classifies the failure."""

    def __init__(
        self,
        reason: str,
        outcome: "pb.Outcome.ValueType",
        retry_after: float | None = None,
        retry_at: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.retry_after = retry_after
        self.retry_at = retry_at


class Host:
    """One host; `session` is the request that started it."""

    def __init__(self, opening: protocol.Opening, incoming: asyncio.StreamReader, outgoing: BinaryIO) -> None:
        self.session = opening.session
        # The agent's own id of the session to resume. Empty: start a new one.
        self.resume = opening.resume
        self.worktree = Path.cwd()
        # The folders outside of the worktree that the agent may read without asking.
        self.readable = readable_folders(os.environ)
        # Set once the session must end (SIGTERM): interrupt the agent and return.
        self.stopping = asyncio.Event()
        # The operator's messages to the agent, oldest first.
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self._messages = 0
        self._closed = False
        # Set by each message, and by the permission to end.
        self._told = asyncio.Event()
        self._incoming = incoming
        self._outgoing = outgoing
        # The operator's answers to the resumed session's questions. An answer is removed when it is used.
        self._answers = list(self.session.answers)
        # By approval_id.
        self._waiting: dict[str, asyncio.Future[pb.ApprovalResolved]] = {}
        self._asked = 0
        # The prefix of ids that count from 1: one session may have several hosts, one after the other.
        self.prefix = f"{secrets.token_hex(2)}-" if opening.resume else ""
        # The background work that was reported last.
        self._background: list[str] = []

    def emit(self, *events: pb.Event) -> None:
        """Sends events, with only their payload, to agent_svc; cuts or splits long texts.

        Blocks while agent_svc is slow to read.
        """
        self._write(*(protocol.line_of(part) for event in events for part in limited(event)))

    def tell(self, translate: Callable[[], Iterable[pb.Event]]) -> None:
        """Sends the events that `translate` returns for a message of the agent.

        If `translate` fails, adds a line to the session's log and continues: one strange message
        must not end the session.
        """
        try:
            self.emit(*translate())
        except (BrokenPipeError, AgentFailedError):
            raise
        except Exception as error:  # noqa: BLE001 (nothing that a model says may end the session)
            traceback.print_exc()
            self.note(f"Something that the agent said could not be understood and is left out: {error!r}.")

    def _write(self, *lines: bytes) -> None:
        self._outgoing.writelines(lines)
        self._outgoing.flush()

    def say(self, text: str, kind: "pb.MessageKind.ValueType" = pb.MESSAGE_KIND_TEXT, *, last: bool) -> None:
        """Sends a piece of a message of the model."""
        self.emit(pb.Event(message=pb.Message(kind=kind, text=text, last=last)))

    @property
    def background_wait(self) -> float:
        """The maximum number of seconds to wait for the agent's background work."""
        return self.session.background_wait.ToNanoseconds() / 1e9

    def tell_background(self, names: Sequence[str]) -> None:
        """Reports what the session waits for; empty: it no longer waits. Skips an unchanged report."""
        if list(names) != self._background:
            self._background = list(names)
            self.emit(background_work.waiting(names, self.session.background_wait))

    def tell_stopped(self, names: Sequence[str]) -> None:
        """Reports the background work that still runs at the end of the session and is stopped with it."""
        self._background = []
        if names:
            self.emit(background_work.stopped(names))

    def note(self, text: str) -> None:
        """Adds a line from Heddle itself to the session's log."""
        self.emit(system(f"{text}\n"))

    def keep_picture(self, picture: Picture) -> None:
        """Stores a picture from a tool's result as a screenshot of the session."""
        if why := keep(self.worktree, picture):
            self.note(f"Screenshot left out: {picture.caption}: {why}.")

    def remember(self, agent_session_id: str) -> None:
        """Stores the agent's own id of its session, so that a later attempt can resume it."""
        self.emit(pb.Event(session_started=pb.SessionStarted(agent_session_id=agent_session_id)))

    async def ask(self, question: str, *, tool: str, target: str, wait: float) -> pb.ApprovalResolved:
        """Asks the operator; the request counts as denied after `wait` seconds without an answer."""
        if (said := self._answered(question, tool, target)) is not None:
            return said
        self._asked += 1
        approval = f"approval-{self.prefix}{self._asked}"
        answer = asyncio.get_running_loop().create_future()
        self._waiting[approval] = answer
        asked = pb.ApprovalRequested(approval_id=approval, question=question, tool=tool, target=target)
        asked.wait.FromNanoseconds(round(wait * 1e9))
        self.emit(pb.Event(approval_requested=asked))
        try:
            return await running_time.wait_for(answer, wait)
        except TimeoutError:
            resolved = pb.ApprovalResolved(
                approval_id=approval, approved=False, message=f"{protocol.UNANSWERED} {wait:g} s"
            )
            self.emit(pb.Event(approval_resolved=resolved))
            return resolved
        except asyncio.CancelledError:
            if not self.stopping.is_set():
                # The program that asked has ended. It may ask again after a restart.
                gone = pb.ApprovalResolved(approval_id=approval, message="the agent ended while it waited")
                self.emit(pb.Event(approval_resolved=gone))
            raise
        finally:
            del self._waiting[approval]

    def _answered(self, question: str, tool: str, target: str) -> pb.ApprovalResolved | None:
        """Returns, once, the operator's answer to the same question in the session that is resumed."""
        for answer in self._answers:
            asked = answer.approval
            if (asked.tool, asked.target) == (tool, target) and (tool or asked.question == question):
                self._answers.remove(answer)
                return pb.ApprovalResolved(approved=answer.approved, message=answer.message)
        return None

    async def may_end(self) -> bool:
        """Returns True once the session may or must end; False if the operator sent a message meanwhile.

        Call it before the work counts as done: the agent must still receive the messages
        in `heard`.
        """
        if not self.heard.empty():
            return False
        self._told.clear()
        self._write(protocol.closing(self._messages))
        told = asyncio.create_task(self._told.wait())
        try:
            await self.wait_unless_stopped(told)
        finally:
            told.cancel()
        return self._closed or self.stopping.is_set()

    async def wait_unless_stopped(self, *tasks: "asyncio.Future[Any]") -> None:
        """Waits until one of `tasks` is done or the session must end. The tasks continue."""
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()

    async def listen(self) -> None:
        """Reads the lines from agent_svc until agent_svc closes the connection."""
        while line := await self._incoming.readline():
            if line == protocol.closed():
                self._closed = True
                self._told.set()
                continue
            try:
                event = protocol.parse_event(line)
            except ValueError as error:
                print(f"not understood: {error}", file=sys.stderr)  # noqa: T201 (a host's log is its stderr)
                continue
            if event.HasField("approval_resolved"):
                answer = self._waiting.get(event.approval_resolved.approval_id)
                if answer is not None and not answer.done():
                    answer.set_result(event.approval_resolved)
            elif event.HasField("message"):
                self.heard.put_nowait(event.message.text)
                self._messages += 1
                self._told.set()
        self.stopping.set()


def count_servers(servers: Servers, *, depth: int) -> int:
    """Returns how many of the processes `depth` levels below this one are idle servers."""
    level = [os.getpid()]
    for _ in range(depth):
        level = [child for pid in level for child in children(pid)]
    return sum(map(servers.has, level))


async def end_all(pids: Sequence[int]) -> None:
    """Ends processes with SIGTERM, then with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            send(pid, number)
        for _ in range(round(ENDING / LOOK)):
            alive = {pid for pid, _ in parents()}
            pids = [pid for pid in pids if pid in alive]
            if not pids:
                return
            await asyncio.sleep(LOOK)


def run_host(drive: Callable[[Host], Awaitable[None]]) -> int:
    """Runs a host to its end; returns the exit code, which is 1 if the agent failed."""
    # A library that prints to standard output must not break the protocol's lines.
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return asyncio.run(_run(drive, outgoing))


async def _run(drive: Callable[[Host], Awaitable[None]], outgoing: BinaryIO) -> int:
    loop = asyncio.get_running_loop()
    incoming = asyncio.StreamReader(MAX_LINE_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(incoming), sys.stdin)
    try:
        host = Host(protocol.parse_opening(await incoming.readline()), incoming, outgoing)
        loop.add_signal_handler(signal.SIGTERM, host.stopping.set)
        outgoing.write(protocol.greeting())
        outgoing.flush()
        listening = asyncio.create_task(host.listen())
        try:
            return await _drive(drive, host)
        finally:
            listening.cancel()
    finally:
        transport.close()


async def _drive(drive: Callable[[Host], Awaitable[None]], host: Host) -> int:
    try:
        await drive(host)
    except AgentFailedError as error:
        finished = pb.SessionFinished(outcome=error.outcome, reason=str(error))
        if error.retry_after is not None:
            finished.retry_after.FromNanoseconds(round(error.retry_after * 1e9))
        if error.retry_at is not None:
            finished.retry_time.FromMilliseconds(round(error.retry_at * 1e3))
    except Exception as error:  # noqa: BLE001 (reported as the session's end)
        traceback.print_exc()
        reason = f"the host of the agent has a defect: {error!r}; the session's log says more"
        finished = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=reason)
    else:
        return 0
    host.emit(pb.Event(session_finished=finished))
    return 1
