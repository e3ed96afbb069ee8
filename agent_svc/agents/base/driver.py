"""What agent_svc needs to know about one kind of agent: how to start it, how to read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent_svc.sandbox.own_folder import OwnFolder
from heddle import pb
from heddle.agents import AgentKind


@dataclass(frozen=True)
class Launch:
    """How to start the agent's program."""

    arguments: Sequence[str]
    # All of standard input, or with `controlled` its beginning.
    stdin: bytes
    # True: it is a host that keeps reading control lines from standard input.
    controlled: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    # True: it works by calling a model, so a session without any answer of one did nothing.
    models: bool = False
    # The agent's own folders outside of its worktree, which it must be able to write.
    own: Sequence[OwnFolder] = ()
    # Says for people what an agent_session_id is, and how to open that session. None: people cannot.
    own_session: Callable[[str], pb.AgentSession] | None = None


class Translator(Protocol):
    """Turns what one agent process writes into events with only their payload set. Pure.

    Bytes arrive in pieces of any size; text may be cut anywhere, even within a character.
    """

    def stdout(self, data: bytes) -> list[pb.Event]: ...

    def stderr(self, data: bytes) -> list[pb.Event]: ...

    def end(self) -> list[pb.Event]:
        """Returns what is left once both streams have ended."""
        ...

    @property
    def finished(self) -> pb.SessionFinished | None:
        """How the agent says that it ended. None: its exit code says it."""
        ...

    @property
    def agent_session_id(self) -> str:
        """What the agent calls its own session, to resume it. Empty: nothing yet, or it cannot."""
        ...

    @property
    def closing(self) -> int | None:
        """How many messages the agent had read when it last asked to end. None: it did not ask."""
        ...


class Driver(Protocol):
    """One kind of agent."""

    @property
    def kind(self) -> AgentKind:
        """What plans and the scheduler know of it."""
        ...

    @property
    def login_variables(self) -> Sequence[str]:
        """Names of agent_svc's own environment variables that the agent inherits: log-ins, and how to reach its model."""
        ...

    def accepts(self, agent: str) -> bool:
        """Says whether `agent`, as a plan writes it, is of this kind."""
        ...

    def program(self) -> pb.AgentProgram:
        """Returns what this worker has of it."""
        ...

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        """Returns how to start it. `resume` is the agent_session_id to resume; empty: a new session."""
        ...

    def translator(self) -> Translator: ...
