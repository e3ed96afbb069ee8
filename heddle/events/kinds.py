"""How each kind of event is treated, as the options of its field in event.proto say."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from heddle import pb

# By name of the kind, in the order of the contract.
OPTIONS: Final[Mapping[str, pb.EventKind]] = MappingProxyType(
    {
        field.name: field.GetOptions().Extensions[pb.event_kind]
        for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    }
)


def _kinds(fits: Callable[[pb.EventKind], bool]) -> frozenset[str]:
    return frozenset(name for name, options in OPTIONS.items() if fits(options))


# What the log of a run holds.
RUN: Final = _kinds(lambda kind: kind.run)

# What the scheduler copies from the log of a session to that of its run.
PROMOTED: Final = _kinds(lambda kind: kind.session and kind.run)

# What the host program of an agent may write.
HOST: Final = _kinds(lambda kind: kind.host)

# Pieces of a text, which follow each other without a line break.
TEXT: Final = _kinds(lambda kind: kind.text)

# What begins another state of a task.
TASK_STATES: Final = _kinds(lambda kind: kind.task_state)

# What begins or ends an attempt, a merge, or the wait for an answer.
SPANS: Final = _kinds(lambda kind: kind.span)

# What the state of a run at any moment is derived from.
HISTORY: Final = _kinds(lambda kind: kind.history)
