"""The actions that `policy.decide` returns: one class for each kind, with whom it wakes and its follow-up.

A new kind of action needs a class here, a decider in this package that yields it, and an effect in
`commands/apply_action.py` that writes it. `leader/loop.py` starts the follow-up once the action is written.
"""

import enum
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName


class Wakes(enum.Enum):
    """Who is notified once an action is written."""

    # The action itself changes nothing.
    NO_ONE = enum.auto()
    # The watchers of its run. The follow-up wakes the leader when it ends.
    WATCHERS = enum.auto()
    # The leader too: more can be decided immediately.
    LEADER = enum.auto()


class FollowUp(enum.Enum):
    """The background task of the leader that an action starts."""

    NONE = enum.auto()
    DRIVE_ATTEMPT = enum.auto()
    STOP_ATTEMPT = enum.auto()
    PARK_ATTEMPT = enum.auto()
    ASK_PLACE = enum.auto()
    MERGE_EPICS = enum.auto()
    MERGE_RUN = enum.auto()


class _Action:
    """Base class of actions. The first field of each subclass names the affected resource."""

    wakes: ClassVar[Wakes] = Wakes.LEADER
    follow_up: ClassVar[FollowUp] = FollowUp.NONE

    @property
    def run_name(self) -> RunName:
        """The run that it changes."""
        about = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]  # each subclass is a dataclass
        return RunName(about.run)


@dataclass(frozen=True)
class ReadyEpic(_Action):
    """The epic's dependencies are merged."""

    epic: EpicName


@dataclass(frozen=True)
class StartTask(_Action):
    """Start this attempt."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.DRIVE_ATTEMPT
    attempt: AttemptName
    # Micros that its session may spend. None: no budget limits it.
    share: int | None = None
    # The worker that is, or becomes, the place of its epic. Empty: the epic is where its run is.
    worker: str = ""
    # Why its epic leaves its earlier place. Empty: it had none, or stays.
    left: str = ""


@dataclass(frozen=True)
class AskPlace(_Action):
    """Have the pool make a place for the epic, whose next task lacks only that."""

    wakes: ClassVar[Wakes] = Wakes.NO_ONE
    follow_up: ClassVar[FollowUp] = FollowUp.ASK_PLACE
    epic: EpicName


@dataclass(frozen=True)
class StopAttempt(_Action):
    """End this session."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.STOP_ATTEMPT
    attempt: AttemptName
    reason: str
    # False: its task runs again without using up a retry.
    counts: bool = True


@dataclass(frozen=True)
class ParkAttempt(_Action):
    """End this session, which waits for the operator, to free its slot; its task continues later."""

    wakes: ClassVar[Wakes] = Wakes.NO_ONE
    follow_up: ClassVar[FollowUp] = FollowUp.PARK_ATTEMPT
    attempt: AttemptName


@dataclass(frozen=True)
class DenyOverdue(_Action):
    """This parked attempt was not answered in time."""

    attempt: AttemptName


@dataclass(frozen=True)
class SpentBudget:
    """A budget that is used up. Both amounts are in micros."""

    level: "pb.BudgetLevel.ValueType"
    # The resource that owns the budget; for a budget of a project, the run that it stops.
    name: RunName | EpicName | TaskName
    budget: int
    spent: int


@dataclass(frozen=True)
class HoldEpic(_Action):
    """Start no more tasks of the epic until the operator raises the budget; `spent` None: it may continue."""

    epic: EpicName
    spent: SpentBudget | None = None
    reason: str = ""


@dataclass(frozen=True)
class PauseRun(_Action):
    """Start no more tasks of the run until an operator resumes it."""

    run: RunName
    reason: str
    # The used-up budgets of the run and its project. Those of epics are reported by HoldEpic.
    spent: tuple[SpentBudget, ...] = ()
    # The provider whose refusal is the reason. Empty: the reason is not a provider.
    held_by: str = ""


@dataclass(frozen=True)
class NoteWait(_Action):
    """Record which worker the run waits for; an empty reason: none."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    run: RunName
    reason: str


@dataclass(frozen=True)
class NoteEpicWait(_Action):
    """Record why the epic has no place; an empty reason: it lacks none."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    epic: EpicName
    reason: str


@dataclass(frozen=True)
class MoveRun(_Action):
    """Have another worker merge the run's epics, because the run's worker was lost."""

    run: RunName
    worker: str


@dataclass(frozen=True)
class SkipTask(_Action):
    """The task will not run."""

    task: TaskName
    reason: str


@dataclass(frozen=True)
class FailTask(_Action):
    """The task cannot run, because a task that it needs was not accepted, or its epic gets no place."""

    task: TaskName
    reason: str


@dataclass(frozen=True)
class StartCandidates(_Action):
    """Try the task with all of its candidates, each of which then starts like a task."""

    task: TaskName


@dataclass(frozen=True)
class AskForChoice(_Action):
    """Wait until the operator chooses one of these candidates."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    task: TaskName
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class CompareCandidates(_Action):
    """Have an agent compare these candidates, in the next attempt of the task."""

    task: TaskName
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class ChooseCandidate(_Action):
    """Take over the work of this candidate; all others have ended."""

    task: TaskName
    candidate: int
    reason: str


@dataclass(frozen=True)
class FailCandidates(_Action):
    """None of the task's candidates has passed: they start again if the task has a retry left, or it fails."""

    task: TaskName


@dataclass(frozen=True)
class MergeEpic(_Action):
    """Merge the epic's branch into its run's."""

    wakes: ClassVar[Wakes] = Wakes.WATCHERS
    follow_up: ClassVar[FollowUp] = FollowUp.MERGE_EPICS
    epic: EpicName


@dataclass(frozen=True)
class AwaitMerge(_Action):
    """Wait for the operator to request the epic's merge."""

    epic: EpicName


@dataclass(frozen=True)
class ResolveConflict(_Action):
    """Have an agent resolve the epic's conflict."""

    epic: EpicName


@dataclass(frozen=True)
class FinishEpic(_Action):
    """End the epic: its tasks have ended, and so has its merge if it has one."""

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
    """End the run: no work is left."""

    run: RunName
    state: "pb.RunState.ValueType"
    reason: str = ""


Action: TypeAlias = (
    ReadyEpic
    | StartTask
    | AskPlace
    | StopAttempt
    | ParkAttempt
    | DenyOverdue
    | HoldEpic
    | PauseRun
    | NoteWait
    | NoteEpicWait
    | MoveRun
    | SkipTask
    | FailTask
    | StartCandidates
    | AskForChoice
    | ChooseCandidate
    | CompareCandidates
    | FailCandidates
    | MergeEpic
    | AwaitMerge
    | ResolveConflict
    | FinishEpic
    | MergeRun
    | FinishRun
)
