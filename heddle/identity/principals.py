"""The authenticated caller of an RPC."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Role(IntEnum):
    """What a caller may do; each role includes those before it."""

    NONE = 0
    # Reads runs, logs and settings.
    VIEWER = 1
    # Changes runs and answers agents. Creating a run is running code on the worker.
    OPERATOR = 2
    # Everything, including tokens and the audit log.
    ADMIN = 3
    # Drives workers. No person and no token has it.
    SCHEDULER = 4


@dataclass(frozen=True)
class Principal:
    """An authenticated caller. `name` is the actor of what it does, such as `user:ada`."""

    name: str
    role: Role


ANONYMOUS: Final = Principal("", Role.NONE)

_caller: ContextVar[Principal] = ContextVar("caller", default=ANONYMOUS)


def caller() -> Principal:
    """Returns the caller of the RPC that is being handled; outside an RPC, a principal without any right."""
    return _caller.get()


def set_caller(principal: Principal) -> None:
    """Makes `principal` the caller for the rest of this RPC."""
    _caller.set(principal)
