"""The authenticated caller of an RPC."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Final

from heddle import pb


class Kind(Enum):
    """What a caller is."""

    # A person, or a program with a token of its own.
    USER = "user"
    # The web app with its own credential, which is of no person.
    WEB = "web"
    # The scheduler, which alone drives workers.
    SCHEDULER = "scheduler"
    # A worker that registers itself; its name is worker/NAME.
    WORKER = "worker"


@dataclass(frozen=True)
class Principal:
    """An authenticated caller. `name` is the actor of what it does, such as `user:ada`."""

    name: str
    role: "pb.Role.ValueType" = pb.ROLE_UNSPECIFIED
    kind: Kind = Kind.USER
    # The projects to which it is limited, as in Run.project. Empty: no limit.
    projects: tuple[str, ...] = ()
    # The ID of its token. Empty: its credential cannot be revoked by an RPC.
    token: str = ""
    # Whether the call has only the reading part of a browser session's token, so that the role is a viewer's.
    reading: bool = False


@dataclass(frozen=True)
class Call:
    """An RPC that is being handled: who calls, the method as `Service.Method`, and the caller's address."""

    principal: Principal
    method: str
    peer: str


def person(actor: str) -> str:
    """Returns who an actor is, for people: `ada` for `user:ada`; others are named as they are."""
    return actor.removeprefix("user:")


SCHEDULER: Final = Principal("scheduler", kind=Kind.SCHEDULER)

_current: ContextVar[Call] = ContextVar("call")


def current_call() -> Call:
    """Returns the RPC that is being handled; raises LookupError outside of one."""
    return _current.get()


def caller() -> Principal:
    """Returns the caller of the RPC that is being handled; raises LookupError outside of one."""
    return _current.get().principal


def enter(call: Call) -> None:
    """Makes `call` the current one for the rest of the RPC's task."""
    _current.set(call)
