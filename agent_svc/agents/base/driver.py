"""The interface between agent_svc and one kind of agent: how to start it and how to read its output."""

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
    # All of standard input; if `controlled`, only its beginning.
    stdin: bytes
    # True: the program is a host that keeps reading control lines from standard input.
    controlled: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    # True: the agent calls a model, so a session without any answer from a model did nothing.
    models: bool = False
    # The agent's own folders outside the worktree. The agent must be able to write to them.
    own: Sequence[OwnFolder] = ()
    # True: the agent makes a sandbox of its own, so its processes may create user namespaces.
    user_namespaces: bool = False
    # Describes the session of an agent_session_id and how people open it in the worktree. None: people cannot open it.
    own_session: Callable[[str], pb.AgentSession] | None = None


class Translator(Protocol):
    """Translates the output of one agent process to events that have only their payload set. Pure.

    Bytes arrive in pieces of any size. A piece may end anywhere, even within a character.
    """

    def stdout(self, data: bytes) -> list[pb.Event]: ...

    def stderr(self, data: bytes) -> list[pb.Event]: ...

    def end(self) -> list[pb.Event]:
        """Returns the remaining events once both streams have ended."""
        ...

    @property
    def finished(self) -> pb.SessionFinished | None:
        """The outcome that the agent itself reported. None: use its exit code."""
        ...

    @property
    def agent_session_id(self) -> str:
        """The agent's own id of its session, to resume it. Empty: not reported yet, or it cannot resume."""
        ...

    @property
    def closing(self) -> int | None:
        """The number of messages that the agent had read when it last asked to end. None: it has not asked."""
        ...


class Driver(Protocol):
    """One kind of agent."""

    @property
    def kind(self) -> AgentKind:
        """The description of this kind for plans and the scheduler."""
        ...

    @property
    def login_variables(self) -> Sequence[str]:
        """The variables of agent_svc that the agent inherits: its login, and how to reach its model."""
        ...

    def accepts(self, agent: str) -> bool:
        """Returns whether `agent`, as written in a plan, is of this kind."""
        ...

    def program(self) -> pb.AgentProgram:
        """Returns whether this worker has the agent's program, and in which version."""
        ...

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        """Returns how to start the agent. `resume` is the agent_session_id to resume; empty: a new session."""
        ...

    def translator(self) -> Translator: ...
