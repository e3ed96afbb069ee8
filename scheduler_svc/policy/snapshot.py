"""The input of `policy.decide`: plain values without a clock or I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName


@dataclass(frozen=True)
class TaskView:
    """A task of an epic, or a candidate. After a failed attempt that is retried, its state is PENDING."""

    name: TaskName
    state: "pb.TaskState.ValueType"
    # Number of attempts started so far; the next attempt has the next number.
    attempts: int
    # Estimate of its author, in seconds. None: no estimate.
    estimate: float | None = None
    # The attempt that occupies a slot now. None: no attempt does.
    live_attempt: AttemptName | None = None
    # True: the live attempt has already been asked to stop.
    stopping: bool = False
    # True: the operator skipped it, so its epic is complete without it.
    waived: bool = False
    # The time of its open question to the operator, in microseconds. None: no question is open.
    asked_at: int | None = None
    # True: a question is open, and the session may be ended while it waits.
    parkable: bool = False
    # True: its question has expired, and there is no session left to report that.
    overdue: bool = False
    # True: its question was answered, and its next attempt resumes a parked session; or its next attempt
    # reviews its work or fixes what a review found.
    resumes: bool = False
    # True: its work is under review, or its candidates are compared; or they were, and it waits for a choice. No other
    # task of its epic starts before that ends.
    in_review: bool = False
    # True: an agent resolves a conflict in it. If it fails, it counts as skipped, and the epic is complete
    # without it.
    resolves: bool = False
    # Tasks of other epics that must be accepted before it starts.
    needs: tuple[TaskName, ...] = ()
    # The agents of its attempts, as in plans; of one with an argument that is no name, its kind: "command:".
    agents: tuple[str, ...] = ()
    # True: its next attempt must wait because the last ones failed immediately.
    paced: bool = False
    # The provider of its agent if it is in Snapshot.providers. Empty: the provider is available.
    provider: str = ""
    # True: the agent of its live attempt has ended.
    checking: bool = False
    # True: its live attempt has no session yet.
    starting: bool = False
    # The budget of all of its attempts and their cost so far, in micros; both include its candidates. None: no limit.
    budget: int | None = None
    spent: int = 0
    # The rest of its live session's reserved share, and the cost of the session's most expensive turn,
    # in micros.
    reserved: int = 0
    turn: int = 0
    # The share that was too small for its last session, or what that spent if it is more, in micros: it ended at its
    # share, and another session of the task needs more. 0: it did not.
    outgrown: int = 0
    # How many candidates its plan has. 0: it is tried by one attempt at a time.
    candidates: int = 0
    # True: an agent compares its candidates.
    compares: bool = False
    # Its candidates, once they have started; each is a task of its own.
    lanes: "tuple[TaskView, ...]" = ()
    # The number of the chosen candidate, whose work its next attempt takes over without a session. 0: none.
    chosen: int = 0
    # The task whose candidate it is. None: it is a task of the plan.
    whole: TaskName | None = None
    # The score of a candidate that has passed. None: it has none.
    score: float | None = None

    @property
    def sessions(self) -> "tuple[TaskView, ...]":
        """Everything that can have a session for this task: itself and its candidates."""
        return (self, *self.lanes)

    @property
    def trying(self) -> bool:
        """True: its candidates have started, and its own next attempt must wait for the choice of one."""
        going_on = self.state in {pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING}
        return self.candidates > 0 and going_on and not self.live

    @property
    def fans_out(self) -> bool:
        """True: it starts with its candidates, and not with an attempt of its own."""
        return self.candidates > 0 and not self.in_review

    @property
    def takes_over(self) -> bool:
        """True: its next or live attempt takes over the work of a candidate, without a session or a slot."""
        return self.chosen > 0 and not self.trying

    @property
    def live(self) -> bool:
        """True: it occupies a slot."""
        return self.live_attempt is not None

    @property
    def startable(self) -> bool:
        """True: another attempt can start when it is the task's turn."""
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
    # True: its merge is in progress.
    merging: bool = False
    # Resolved.
    merge: "pb.MergePolicy.ValueType" = pb.MERGE_POLICY_AUTO
    # True: the operator wants it merged.
    merge_wanted: bool = False
    on_conflict: "pb.OnConflict.ValueType" = pb.ON_CONFLICT_WAIT
    # Why its merge did not succeed. Empty: it succeeded, or was not tried yet.
    conflict: str = ""
    # The budget of all of its tasks, in micros. None: no limit.
    budget: int | None = None
    # True: it is recorded that a used-up budget of it or of its tasks keeps it from continuing.
    over_budget: bool = False
    # True: the project's branch conflicts with it, and the operator decides.
    out_of_sync: bool = False
    # Why the setup of its worktree failed. Empty: it succeeded, or was not tried.
    setup_failure: str = ""
    # True: its branch still contains commits that the operator has set aside; its next attempt removes them.
    rewinds: bool = False
    # True: it has a place of its own, which can change between two attempts. False: it is where its run is.
    moves: bool = False
    # The worker that is its place. Empty: it has none yet, or does not move.
    worker: str = ""
    # How often it got a place, or lost one. The next place has the next number.
    generation: int = 0
    # Labels that its place must have.
    labels: frozenset[tuple[str, str]] = frozenset()
    # What its pod requests, as in the plan.
    resources: frozenset[tuple[str, str]] = frozenset()
    # Why it has no place, as recorded. Empty: it lacks none.
    waits_for: str = ""

    @property
    def next_task(self) -> TaskView | None:
        """The task of its next attempt: the first that can start. None: no task can.

        Before it come tasks with submitted work, which builds on the branch as it is: an operator may have reset an
        earlier task meanwhile.
        """
        startable = [task for task in self.tasks if task.startable]
        submitted = (task for task in startable if task.in_review or task.takes_over)
        return next(submitted, startable[0] if startable else None)

    @property
    def busy(self) -> bool:
        """True: one of its tasks has started and has not ended."""
        return any(task.live or task.parked or task.trying for task in self.tasks)

    @property
    def tied(self) -> bool:
        """True: candidates have started at its place, which all others of their task share."""
        return any(lane.attempts for task in self.tasks if task.trying for lane in task.lanes)

    @property
    def sessions(self) -> Iterator[TaskView]:
        """Its tasks and their candidates."""
        return (each for task in self.tasks for each in task.sessions)


@dataclass(frozen=True)
class RunView:
    """A run that has not ended. Its worker merges its epics, and runs those that do not move."""

    name: RunName
    state: "pb.RunState.ValueType"
    worker: str
    max_parallel: int
    epics: tuple[EpicView, ...]
    # The user's branch that the run is merged into at its end. Empty: none.
    merge_into: str = ""
    # Whether that merge succeeded, and whether it conflicted or failed.
    merged_into: bool = False
    merge_into_conflict: bool = False
    # True: the merge into that branch is in progress.
    merging_into: bool = False
    # True: it waits for something that is missing in its environment.
    faulty: bool = False
    # Which worker it waits for, as recorded. Empty: none.
    waits_for: str = ""
    # Why the remote refused the result branch. Empty: it did not, or there is no remote.
    unpushed: str = ""
    # Its budget, in micros. None: no limit.
    budget: int | None = None
    project: str = ""
    # True: its project is a URL, or its worker serves the repository to others, so its epics can move.
    placed: bool = False
    # True: its project is on the disk of its worker, which is its home for good.
    keeps_home: bool = False
    # Average cost of an accepted task of the project, in micros. 0: unknown.
    typical_cost: int = 0
    # The budget of all runs of its project and their cost so far, in micros.
    project_budget: int | None = None
    project_spent: int = 0

    def worker_of(self, epic: EpicView) -> str:
        """Returns the worker that is the place of an epic, or where it is because the run is."""
        return epic.worker if epic.moves else self.worker

    @property
    def ends(self) -> bool:
        """True: it is being cancelled."""
        return self.state == pb.RUN_STATE_CANCELLING


@dataclass(frozen=True)
class Member:
    """What the database knows about a worker."""

    name: str
    # Addresses of its services. Empty: it is not registered.
    worktree: str
    agent: str
    labels: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    # Who drained it, and when, in microseconds; empty and 0 if it is not.
    drained_by: str = ""
    drained_at: int = 0


@dataclass(frozen=True)
class WorkerView:
    """A worker of the fleet."""

    name: str
    slots: int
    connected: bool = True
    # True: its disk accepts no new work.
    full: bool = False
    # True: no session starts there.
    draining: bool = False
    # The epic that it was made for, which is the only one that runs there. None: it takes any.
    epic: EpicName | None = None
    labels: frozenset[tuple[str, str]] = frozenset()
    # The agents that it can start, as TaskView.agents names them. Empty: unknown.
    agents: frozenset[str] = frozenset()

    @property
    def takes_work(self) -> bool:
        """True: merges can start there, and sessions unless it is drained."""
        return self.connected and not self.full


@dataclass(frozen=True)
class PodsView:
    """The places that a pool makes for epics, where it has one."""

    # Why an epic that asked for a place does not have it yet.
    waits: Mapping[EpicName, str] = field(default_factory=dict)
    # Why an epic's place cannot be made, now or later.
    failures: Mapping[EpicName, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProviderView:
    """A provider of models that is on hold, or that has not accepted work since its last hold."""

    name: str
    # True: no agent of this provider starts.
    held: bool
    # The problem that the operator must resolve, as text. Empty: the hold ends without the operator.
    refusal: str = ""
    # True: a session currently tests whether it is available.
    tried: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The complete input of a decision."""

    # Oldest first.
    runs: tuple[RunView, ...]
    # All workers of the fleet.
    workers: tuple[WorkerView, ...]
    # Average duration of accepted tasks, in seconds. None: unknown.
    typical_seconds: float | None = None
    providers: tuple[ProviderView, ...] = ()
    # Workers whose leases expired while they were unreachable: none of their sessions is left.
    lost: frozenset[str] = frozenset()
    # None: epics run on the workers that exist.
    pods: PodsView | None = None
