"""What a status of a run, epic, task or attempt is, and how a move changes it. Pure.

A status is what a row's state columns hold; its fields are named after these columns. A merge
is part of the status of what is merged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.model.states import MergeState


class RunStatus(NamedTuple):
    """`merge_state` is that of the run's branch on its way into the user's."""

    state: "pb.RunState.ValueType"
    merge_state: MergeState = MergeState.NONE


class EpicStatus(NamedTuple):
    """`merge_state` is that of the epic's branch on its way into the run's."""

    state: "pb.EpicState.ValueType"
    merge_state: MergeState = MergeState.NONE


class TaskStatus(NamedTuple):
    """A task has no merge of its own."""

    state: "pb.TaskState.ValueType"


class AttemptStatus(NamedTuple):
    """An attempt has no merge of its own."""

    state: "pb.AttemptState.ValueType"


Status = TypeVar("Status", RunStatus, EpicStatus, TaskStatus, AttemptStatus)
AnyStatus: TypeAlias = RunStatus | EpicStatus | TaskStatus | AttemptStatus

# A value that a column gets.
Value: TypeAlias = str | int | bool | None

# The enum of the API by the kind of status.
STATES: Final[Mapping[type[AnyStatus], Any]] = {
    RunStatus: pb.RunState,
    EpicStatus: pb.EpicState,
    TaskStatus: pb.TaskState,
    AttemptStatus: pb.AttemptState,
}


class IllegalMoveError(HeddleError):
    """WRONG_STATE: the move is not possible from the status that `name` has."""

    def __init__(self, name: object, status: AnyStatus, event: str) -> None:
        state = STATES[type(status)].Name(status.state)
        super().__init__(
            pb.ERROR_REASON_WRONG_STATE,
            f"{name} is {state.partition('_STATE_')[2].lower()}: {event} is not possible from there;"
            " it may have just changed, so look again",
            state=state,
        )


def wrong_state(name: object, state: str, advice: str) -> HeddleError:
    """Returns the error for something that a resource's state does not allow."""
    word = state.partition("_STATE_")[2].lower()
    return HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} is {word}: {advice}", state=state)


# Compared by identity: each is one entry of the table.
@dataclass(frozen=True, eq=False)
class Move(Generic[Status]):
    """One kind of change of a status."""

    # What happens, as an error message names it.
    event: str
    sources: frozenset[Status]
    # The state columns that change. One that is left out keeps its value.
    to: Mapping[str, int]
    # The columns whose content is out of date after the move, with what they hold then. A writer may give
    # another value instead.
    resets: Mapping[str, Value] = field(default_factory=dict)
    # The column that gets the time of the move. Empty: none does.
    stamp: str = ""

    def after(self, status: Status, name: object = "it") -> Status:
        """Returns the status that follows; raises IllegalMoveError."""
        if status not in self.sources:
            raise IllegalMoveError(name, status, self.event)
        return status._replace(**self.to)  # type: ignore[arg-type]  # the table's columns are those of the status

    def columns(self, now: int | None = None) -> dict[str, object]:
        """Returns what the move writes; `now`, in microseconds, is needed by a move with a stamp."""
        if self.stamp and now is None:
            raise ValueError(f"{self.event} needs the time")
        stamped = {self.stamp: now} if self.stamp else {}
        return {**self.resets, **self.to, **stamped}
