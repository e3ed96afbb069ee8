"""What `policy.decide` says: one class for each kind of action, with what it wakes and what follows it.

A new kind of action is a class here, a decider in this package that yields it, and an effect in
`commands/apply_action.py` that writes it. What follows is begun by `leader/loop.py` once it is written.
"""

import enum
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName


class Wakes(enum.Enum):
    """Who looks again once an action is written."""

    # It changes nothing by itself.
    NO_ONE = enum.auto()
    # Those who watch its run. What follows the action wakes the leader when it ends.
    WATCHERS = enum.auto()
    # The leader too: more can be decided at once.
    LEADER = enum.auto()


class FollowUp(enum.Enum):
    """The background task of the leader that an action begins."""

    NONE = enum.auto()
    DRIVE_ATTEMPT = enum.auto()
    STOP_ATTEMPT = enum.auto()
    PARK_ATTEMPT = enum.auto()
    MERGE_EPICS = enum.auto()
    MERGE_RUN = enum.auto()


class _Action:
    """The first field of each names what it is about."""

    wakes: ClassVar[Wakes] = Wakes.LEADER
    follow_up: ClassVar[FollowUp] = FollowUp.NONE

    @property
    def run_name(self) -> RunName:
        """The run that it changes."""
        about = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]  # each that inherits is a dataclass
        return RunName(about.run)


@dataclass(frozen=True)
class ReadyEpic(_Action):
    """Its dependencies are merged."""

    epic: EpicName


@dataclass(frozen=True)
class StartTask(_Action):
    """Begin this attempt; the worker is its run's."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.DRIVE_ATTEMPT
    attempt: AttemptName
    # Micros that its session may spend. None: no budget limits it.
    share: int | None = None


@dataclass(frozen=True)
class StopAttempt(_Action):
    """End this session."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.STOP_ATTEMPT
    attempt: AttemptName
    reason: str
    # False: its task runs again, and no retry is used up.
    counts: bool = True


@dataclass(frozen=True)
class ParkAttempt(_Action):
    """End this session, which waits for the operator, for one that can work; its task continues later."""

    wakes: ClassVar[Wakes] = Wakes.NO_ONE
    follow_up: ClassVar[FollowUp] = FollowUp.PARK_ATTEMPT
    attempt: AttemptName


@dataclass(frozen=True)
class DenyOverdue(_Action):
    """This parked attempt has had no answer in time."""

    attempt: AttemptName


@dataclass(frozen=True)
class SpentBudget:
    """A budget of which nothing is left. Both sums are micros."""

    level: "pb.BudgetLevel.ValueType"
    # Whose it is; of a project's, the run that it stops.
    name: RunName | EpicName | TaskName
    budget: int
    spent: int


@dataclass(frozen=True)
class PauseRun(_Action):
    """Start nothing more of it until a person says so."""

    run: RunName
    reason: str
    spent: tuple[SpentBudget, ...] = ()
    # The provider whose refusal is the reason. Empty: none is.
    held_by: str = ""


@dataclass(frozen=True)
class SkipTask(_Action):
    """It will not run."""

    task: TaskName
    reason: str


@dataclass(frozen=True)
class MergeEpic(_Action):
    """Merge the epic's branch into its run's."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.MERGE_EPICS
    epic: EpicName


@dataclass(frozen=True)
class AwaitMerge(_Action):
    """The operator has to say that the epic is to be merged."""

    epic: EpicName


@dataclass(frozen=True)
class ResolveConflict(_Action):
    """An agent is to resolve what the epic conflicts over."""

    epic: EpicName


@dataclass(frozen=True)
class FinishEpic(_Action):
    """All of its tasks are over, and its merge if it gets one."""

    epic: EpicName
    state: "pb.EpicState.ValueType"
    reason: str = ""


@dataclass(frozen=True)
class MergeRun(_Action):
    """Merge the run's branch into the branch that its user named."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.MERGE_RUN
    run: RunName


@dataclass(frozen=True)
class FinishRun(_Action):
    """Nothing is left to do."""

    run: RunName
    state: "pb.RunState.ValueType"
    reason: str = ""


Action: TypeAlias = (
    ReadyEpic
    | StartTask
    | StopAttempt
    | ParkAttempt
    | DenyOverdue
    | PauseRun
    | SkipTask
    | MergeEpic
    | AwaitMerge
    | ResolveConflict
    | FinishEpic
    | MergeRun
    | FinishRun
)
