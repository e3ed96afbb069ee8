"""What `policy.decide` sees: plain values, no clock, no I/O."""

from dataclasses import dataclass

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName


@dataclass(frozen=True)
class TaskView:
    """A task of an epic. A failure that gets another attempt leaves its state PENDING."""

    name: TaskName
    state: "pb.TaskState.ValueType"
    # How many attempts were ever started; the next one is this plus one.
    attempts: int
    # Seconds that its author expects. None: did not say.
    estimate: float | None = None
    # The attempt that holds a slot now. None: none does.
    live_attempt: AttemptName | None = None
    # True: the live attempt has been asked to stop already.
    stopping: bool = False
    # True: the operator skipped it, so its epic is whole without it.
    waived: bool = False
    # Since when it asks the operator, in microseconds. None: it asks nothing.
    asked_at: int | None = None
    # True: it asks, and its session may be ended meanwhile.
    parkable: bool = False
    # True: it asked longer than it may, with no session left to say so itself.
    overdue: bool = False
    # True: it has its answer, and continues where a parked session stopped.
    resumes: bool = False
    # True: an agent resolves a conflict in it. One that failed counts as skipped: the epic is whole without it.
    resolves: bool = False
    # True: its next attempt is to wait, as the last ones failed at once.
    paced: bool = False
    # That of its agent, where Snapshot.providers has it. Empty: nothing is known against that.
    provider: str = ""
    # True: the agent of its live attempt has ended.
    checking: bool = False
    # True: its live attempt has no session yet.
    starting: bool = False
    # Micros that all of its attempts may cost, and have cost. None: no limit.
    budget: int | None = None
    spent: int = 0
    # Micros that its live session may still spend before more is promised to it, and that its dearest turn
    # has cost.
    reserved: int = 0
    turn: int = 0

    @property
    def live(self) -> bool:
        """True: it holds a slot."""
        return self.live_attempt is not None

    @property
    def startable(self) -> bool:
        """True: another attempt may start once it is its turn."""
        return self.state == pb.TASK_STATE_PENDING and not self.live

    @property
    def parked(self) -> bool:
        """True: it waits for the operator and has no session."""
        return self.state == pb.TASK_STATE_WAITING and self.live_attempt is None


@dataclass(frozen=True)
class EpicView:
    """An epic with its tasks in the order in which they run."""

    name: EpicName
    state: "pb.EpicState.ValueType"
    # Place in the plan, from 0.
    index: int
    priority: int
    # Keys.
    depends_on: tuple[str, ...]
    on_failure: "pb.OnFailure.ValueType"
    tasks: tuple[TaskView, ...]
    # True: its accepted commits are in the run's branch.
    merged: bool = False
    # True: a merge of it is under way.
    merging: bool = False
    # Resolved.
    merge: "pb.MergePolicy.ValueType" = pb.MERGE_POLICY_AUTO
    # True: the operator wants it merged.
    merge_wanted: bool = False
    on_conflict: "pb.OnConflict.ValueType" = pb.ON_CONFLICT_WAIT
    # Why its merge did not succeed. Empty: it did, or was not tried yet.
    conflict: str = ""
    # Micros that its tasks may cost together. None: no limit.
    budget: int | None = None
    # Why its worktree could not be made ready. Empty: it could, or was not tried.
    setup_failure: str = ""
    # True: its branch still holds what its operator has set aside; its next attempt takes that off.
    rewinds: bool = False

    @property
    def busy(self) -> bool:
        """True: one of its tasks has begun and is not over."""
        return any(task.live or task.parked for task in self.tasks)


@dataclass(frozen=True)
class RunView:
    """A run that has not ended. All of its epics live on one worker's disk."""

    name: RunName
    state: "pb.RunState.ValueType"
    worker: str
    max_parallel: int
    epics: tuple[EpicView, ...]
    # The user's branch to move in the end. Empty: none.
    merge_into: str = ""
    # True: that branch has been moved, or cannot be: see merge_into_conflict.
    merged_into: bool = False
    merge_into_conflict: bool = False
    # True: the merge into that branch is under way.
    merging_into: bool = False
    # True: it waits for something that its environment lacks.
    faulty: bool = False
    # Why the remote has not taken the branch of the result. Empty: it has, or there is none.
    unpushed: str = ""
    # Micros that it may cost. None: no limit.
    budget: int | None = None
    project: str = ""
    # Micros that an accepted task of the project has cost on average. 0: not known.
    typical_cost: int = 0
    # Micros that all runs of its project may cost, and have cost.
    project_budget: int | None = None
    project_spent: int = 0


@dataclass(frozen=True)
class WorkerView:
    """A worker that can be reached."""

    name: str
    slots: int


@dataclass(frozen=True)
class ProviderView:
    """A provider of models that is held, or was and has not shown yet that it works again."""

    name: str
    # True: none of its agents starts.
    held: bool
    # What the operator has to act upon, in plain words. Empty: it passes by itself.
    refusal: str = ""
    # True: a session tries it now.
    tried: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision depends on."""

    # Oldest first.
    runs: tuple[RunView, ...]
    # Only those that are connected.
    workers: tuple[WorkerView, ...]
    # Seconds that accepted tasks took on average. None: nothing was learned yet.
    typical_seconds: float | None = None
    providers: tuple[ProviderView, ...] = ()
