"""The status of a run, epic, task or attempt, and how a move changes it. Pure.

A status consists of the state columns of a row; its fields have the names of these columns. A merge
is part of the status of the run or epic that is merged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.model.lifecycle.states import MergeState


class RunStatus(NamedTuple):
    """`merge_state` is that of the merge of the run's branch into the user's branch."""

    state: "pb.RunState.ValueType"
    merge_state: MergeState = MergeState.NONE


class EpicStatus(NamedTuple):
    """`merge_state` is that of the merge of the epic's branch into the run's branch."""

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

# A value of a column.
Value: TypeAlias = str | int | bool | None

# The enum of the API by the kind of status.
STATES: Final[Mapping[type[AnyStatus], Any]] = {
    RunStatus: pb.RunState,
    EpicStatus: pb.EpicState,
    TaskStatus: pb.TaskState,
    AttemptStatus: pb.AttemptState,
}


class IllegalMoveError(HeddleError):
    """WRONG_STATE: the current status of `name` does not allow the move."""

    def __init__(self, name: object, status: AnyStatus, event: str) -> None:
        state = STATES[type(status)].Name(status.state)
        super().__init__(
            pb.ERROR_REASON_WRONG_STATE,
            f"{name} is {state.partition('_STATE_')[2].lower()}: {event} is not possible from there;"
            " it may have just changed, so look again",
            state=state,
        )


def wrong_state(name: object, state: str, advice: str) -> HeddleError:
    """Returns the error for an operation that a resource's state does not allow."""
    word = state.partition("_STATE_")[2].lower()
    return HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} is {word}: {advice}", state=state)


# Compared by identity: each is one entry of the table.
@dataclass(frozen=True, eq=False)
class Move(Generic[Status]):
    """One kind of change of a status."""

    # The name of the event in error messages.
    event: str
    sources: frozenset[Status]
    # The state columns that change. Other state columns keep their values.
    to: Mapping[str, int]
    # The columns whose content is outdated after the move, with their new values. A writer may
    # override these values.
    resets: Mapping[str, Value] = field(default_factory=dict)
    # The column that gets the time of the move. Empty: none does.
    stamp: str = ""

    def after(self, status: Status, name: object = "it") -> Status:
        """Returns the status after the move; raises IllegalMoveError."""
        if status not in self.sources:
            raise IllegalMoveError(name, status, self.event)
        return status._replace(**self.to)  # type: ignore[arg-type]  # the table's columns are those of the status

    def columns(self, now: int | None = None) -> dict[str, object]:
        """Returns the columns that the move writes; a move with a stamp needs `now`, in microseconds."""
        if self.stamp and now is None:
            raise ValueError(f"{self.event} needs the time")
        stamped = {self.stamp: now} if self.stamp else {}
        return {**self.resets, **self.to, **stamped}
