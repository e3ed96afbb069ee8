"""How each kind of event is handled, from the options of its field in event.proto."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from heddle import pb

# By kind name, in the order of event.proto.
OPTIONS: Final[Mapping[str, pb.EventKind]] = MappingProxyType(
    {
        field.name: field.GetOptions().Extensions[pb.event_kind]
        for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    }
)


def _kinds(fits: Callable[[pb.EventKind], bool]) -> frozenset[str]:
    return frozenset(name for name, options in OPTIONS.items() if fits(options))


# Kinds in the log of a run.
RUN: Final = _kinds(lambda kind: kind.run)

# Kinds that the scheduler copies from a session's log to the log of its run.
PROMOTED: Final = _kinds(lambda kind: kind.session and kind.run)

# Kinds that the host program of an agent may write.
HOST: Final = _kinds(lambda kind: kind.host)

# Kinds that are pieces of a text, joined without line breaks.
TEXT: Final = _kinds(lambda kind: kind.text)

# Kinds that change the state of a task.
TASK_STATES: Final = _kinds(lambda kind: kind.task_state)

# Kinds that begin or end an attempt, a merge, or the wait for an answer.
SPANS: Final = _kinds(lambda kind: kind.span)

# Kinds from which the state of a run at any time is derived.
HISTORY: Final = _kinds(lambda kind: kind.history)
