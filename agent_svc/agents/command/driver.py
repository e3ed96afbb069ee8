"""The `command:SHELL` agent: any program that a shell can start.

The command receives the prompt on standard input and in HEDDLE_PROMPT. Everything that it
writes is its output, and its exit code is the outcome. It cannot ask for approval.

Exit code 75 (EX_TEMPFAIL) means that the command cannot work now and must be started again
later. A line `heddle-retry-after: WHEN` before it says when, in seconds or as an RFC 3339 time.
"""

import re
from typing import Final

from agent_svc.agents.base.driver import Launch
from agent_svc.agents.command.kind import KIND
from agent_svc.text import TextStream
from heddle import pb
from heddle.agents import AgentKind


class CommandDriver:
    """Starts `/bin/sh -c SHELL`."""

    login_variables = ()

    def __init__(self, kind: AgentKind = KIND) -> None:
        self.kind = kind

    def accepts(self, agent: str) -> bool:
        return agent.startswith(self.kind.name) and bool(agent.removeprefix(self.kind.name).strip())

    def program(self) -> pb.AgentProgram:
        return pb.AgentProgram(
            name=self.kind.name, available=True, detail="any shell command, run by /bin/sh in the worktree"
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        shell = request.agent.removeprefix(self.kind.name)
        return Launch(arguments=("/bin/sh", "-c", shell), stdin=request.prompt.encode())

    def translator(self) -> "CommandTranslator":
        return CommandTranslator()


# Matches a complete line of either stream.
_LATER: Final = re.compile(rb"^heddle-retry-after:[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
# A longer line that arrives in pieces is ignored; such a beginning keeps it from matching.
_MAX_LINE_BYTES: Final = 100
_TOO_LONG: Final = b"..."


class CommandTranslator:
    """Translates both streams to output events."""

    # When to start the command again; used only with exit code 75.
    finished: pb.SessionFinished | None = None
    agent_session_id = ""
    closing: None = None

    def __init__(self) -> None:
        self._out = TextStream(pb.OUTPUT_STREAM_STDOUT)
        self._err = TextStream(pb.OUTPUT_STREAM_STDERR)
        # By stream: the incomplete last line, cut to the maximum length.
        self._open = {pb.OUTPUT_STREAM_STDOUT: b"", pb.OUTPUT_STREAM_STDERR: b""}

    def stdout(self, data: bytes) -> list[pb.Event]:
        self._look(pb.OUTPUT_STREAM_STDOUT, data)
        return self._out.feed(data)

    def stderr(self, data: bytes) -> list[pb.Event]:
        self._look(pb.OUTPUT_STREAM_STDERR, data)
        return self._err.feed(data)

    def _look(self, stream: "pb.OutputStream.ValueType", data: bytes) -> None:
        """Looks for the line that says when to start the command again."""
        whole, end, rest = (self._open[stream] + data).rpartition(b"\n")
        self._open[stream] = rest if len(rest) <= _MAX_LINE_BYTES else _TOO_LONG
        for found in _LATER.findall(whole) if end else ():
            self.finished = _later(found.decode(errors="replace")) or self.finished

    def end(self) -> list[pb.Event]:
        for stream in self._open:
            self._look(stream, b"\n")
        return [*self._out.feed(b"", final=True), *self._err.feed(b"", final=True)]


def _later(when: str) -> pb.SessionFinished | None:
    """Returns when to start the command again; None if `when` is neither seconds nor a time."""
    said = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
    try:
        if when.isdecimal():
            said.retry_after.FromSeconds(int(when))
        else:
            said.retry_time.FromJsonString(when)
    except ValueError:
        return None
    return said
