"""Runs one `codex exec` process for each turn, from the prompt to the end of its output."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from agent_svc.agents.base.context_fill import with_context
from agent_svc.agents.base.host import AgentFailedError, Host
from agent_svc.agents.codex.failures import is_refusal
from agent_svc.agents.codex.server_log import ServerLog, with_server_log
from agent_svc.agents.codex.session_record import Record, Refused
from agent_svc.agents.codex.transcript import Transcript
from agent_svc.text import clip
from heddle.timing.running_time import Timer

# A command's output is at most 1 MiB, and up to six times as long in JSON. A model's text is shorter.
MAX_LINE_BYTES: Final = 64 << 20

# Seconds that codex has to write its session record after an interrupt.
GRACE: Final = 2.0

MAX_WORDS_BYTES: Final = 1 << 10

# Seconds between two reads of codex's usage. Its JSON lines report usage only at the end of a turn.
COUNT_EVERY: Final = 0.2


class ListeningEnd(Enum):
    """Why the host stopped reading codex's output."""

    ALL = "it closed its output"
    HOPELESS = "it could no longer succeed"
    NO_CONNECTION = "it was without a connection for too long"
    STOPPED = "the session had to end"


class Ended(NamedTuple):
    """How the process ended. The transcript has codex's own report."""

    code: int
    # The last line on standard error.
    last_words: str
    end: ListeningEnd

    @property
    def crashed(self) -> bool:
        """True if a signal that Heddle did not send ended the process."""
        return self.end is ListeningEnd.ALL and self.code < 0


class Turn:
    """Runs the turns of one session, one after another."""

    def __init__(
        self, host: Host, transcript: Transcript, record: Record, arguments: Sequence[str], patience: float
    ) -> None:
        self._host = host
        self._transcript = transcript
        self._record = record
        self._arguments = arguments
        self._last_words = ""
        self._server_log = ServerLog()
        # The refused commands that are not reported yet.
        self._refused: list[Refused] = []
        # Seconds that codex may be without a connection.
        self.patience = patience

    async def run(self, prompt: str, thread_id: str = "") -> Ended:
        """Runs codex on `prompt`, in the session `thread_id` or in a new session, until it has exited."""
        self._transcript.begin_turn()
        self._last_words = ""
        if thread_id and thread_id != self._transcript.thread_id:
            self._record.follow(thread_id, skip=True)
            self._transcript.spending.begin(self._record.used)
        process = await self._start(thread_id)
        asking = asyncio.create_task(self._ask(process, prompt))
        overhearing = asyncio.create_task(self._overhear(process))
        listening = asyncio.create_task(self._listen(process))
        counting = asyncio.create_task(self._count())
        try:
            await self._host.wait_unless_stopped(listening)
            end = listening.result() if listening.done() else ListeningEnd.STOPPED
            code = await _end(process, hurry=end is not ListeningEnd.ALL)
            # A process that a command left running may keep standard error open.
            await asyncio.wait({overhearing}, timeout=GRACE)
            # A stop signal also reaches codex, which may end before this process receives the signal.
            return Ended(
                code, self._last_words, ListeningEnd.STOPPED if self._host.stopping.is_set() else end
            )
        finally:
            tasks = (asking, overhearing, listening, counting)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Read the record even if codex was ended during its turn.
            self._read_record()
            self._host.emit(*self._transcript.end_turn())

    async def _start(self, thread_id: str) -> Process:
        resume = ("resume",) if thread_id else ()
        session = (thread_id,) if thread_id else ()
        try:
            return await asyncio.create_subprocess_exec(
                "codex",
                "exec",
                *resume,
                *self._arguments,
                *session,
                "-",
                cwd=self._host.worktree,
                env=with_server_log(os.environ),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                limit=MAX_LINE_BYTES,
            )
        except OSError as error:
            raise AgentFailedError(
                f"codex could not be started ({error.strerror}): npm install -g @openai/codex"
            ) from error

    async def _ask(self, process: Process, prompt: str) -> None:
        assert process.stdin is not None  # noqa: S101 (a pipe)
        process.stdin.write(prompt.encode())
        # If codex exits early, it does not read the prompt. Its own output says why.
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        process.stdin.close()

    async def _listen(self, process: Process) -> ListeningEnd:
        """Reports codex's output until codex ends, cannot succeed, or has no connection for too long."""
        assert process.stdout is not None  # noqa: S101 (a pipe)
        unconnected = asyncio.Event()
        patience: Timer | None = None
        giving_up = asyncio.create_task(unconnected.wait())
        try:
            while line := await self._line(process.stdout, giving_up):
                self._tell(line)
                if self._transcript.sandbox_trouble or is_refusal(self._transcript.reconnecting):
                    return ListeningEnd.HOPELESS
                if patience is None and self._transcript.reconnecting:
                    patience = Timer(self.patience, unconnected.set)
                elif patience is not None and not self._transcript.reconnecting:
                    patience.cancel()
                    patience = None
        finally:
            giving_up.cancel()
            if patience is not None:
                patience.cancel()
        return ListeningEnd.NO_CONNECTION if unconnected.is_set() else ListeningEnd.ALL

    async def _line(self, stream: asyncio.StreamReader, giving_up: "asyncio.Task[bool]") -> bytes:
        """Returns the next line; empty at the end of the stream or once `giving_up` is done."""
        reading = asyncio.create_task(stream.readline())
        try:
            await asyncio.wait({reading, giving_up}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY)
            self._read_record()

    def _read_record(self) -> None:
        """Reports the usage and any compaction since the last call; collects refused commands."""
        self._refused += self._record.read()
        self._transcript.spending.model = self._record.model or self._transcript.spending.model
        if self._record.used:
            used = self._transcript.spending.report(self._record.used)
            self._host.emit(*with_context(used, self._record.context, self._record.window))
        if self._record.compacted:
            self._record.compacted = False
            self._host.note("The conversation had become too long: codex continues with a summary of it.")

    def _tell(self, line: bytes) -> None:
        self._read_record()
        # Commands were refused before codex wrote this line.
        refused, self._refused = self._refused, []
        for each in refused:
            self._host.emit(*self._transcript.refused(*each))
        self._transcript.patches = self._record.patches
        known = self._transcript.thread_id
        self._host.emit(*self._transcript.line(line))
        if self._transcript.thread_id != known:
            self._host.remember(self._transcript.thread_id)
            self._record.follow(self._transcript.thread_id, skip=False)

    async def _overhear(self, process: Process) -> None:
        """Forwards codex's standard error and remembers its last line; reports lines about MCP servers."""
        assert process.stderr is not None  # noqa: S101 (a pipe)
        while line := await process.stderr.readline():
            if (told := self._server_log.take(line.decode(errors="replace"))) is not None:
                if told:
                    self._host.note(told)
                continue
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
            if words := line.decode(errors="replace").strip():
                self._last_words = clip(words, MAX_WORDS_BYTES)


async def _end(process: Process, *, hurry: bool) -> int:
    """Ends codex and returns its exit code; waits before the interrupt unless `hurry` is true."""
    if not hurry:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(process.wait(), GRACE)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(process.wait(), GRACE)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return await process.wait()
