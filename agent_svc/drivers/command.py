"""The `command:SHELL` agent: any program that a shell can start.

The prompt comes on standard input and in HEDDLE_PROMPT, what it writes is its
output, its exit code is the outcome. It cannot ask for approval.
"""

from typing import Final

from agent_svc.drivers.driver import Launch
from agent_svc.drivers.text import TextStream
from heddle import pb

PREFIX: Final = "command:"


class CommandDriver:
    """Starts `/bin/sh -c SHELL`."""

    reports_usage_live = False
    holds_max_turns = False

    def accepts(self, agent: str) -> bool:
        return agent.startswith(PREFIX) and bool(agent.removeprefix(PREFIX).strip())

    def program(self) -> pb.AgentProgram:
        return pb.AgentProgram(
            name=PREFIX, available=True, detail="any shell command, run by /bin/sh in the worktree"
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        shell = request.agent.removeprefix(PREFIX)
        return Launch(arguments=("/bin/sh", "-c", shell), stdin=request.prompt.encode())

    def translator(self) -> "CommandTranslator":
        return CommandTranslator()


class CommandTranslator:
    """Takes both streams as text."""

    finished: None = None
    agent_session_id = ""
    closing: None = None

    def __init__(self) -> None:
        self._out = TextStream(pb.OUTPUT_STREAM_STDOUT)
        self._err = TextStream(pb.OUTPUT_STREAM_STDERR)

    def stdout(self, data: bytes) -> list[pb.Event]:
        return self._out.feed(data)

    def stderr(self, data: bytes) -> list[pb.Event]:
        return self._err.feed(data)

    def end(self) -> list[pb.Event]:
        return [*self._out.feed(b"", final=True), *self._err.feed(b"", final=True)]
