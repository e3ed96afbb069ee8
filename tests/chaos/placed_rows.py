"""Runs, epics and tasks in memory, in place of the database, for a simulation that is too wide for one.

Statuses change only by the moves of the real table, which refuses all others; the writes of places are those of
`store/rows/epics.py` and `commands/start_tasks.py`. Views are made again only for what has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.model.lifecycle import transitions as moves
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.model.lifecycle.status import EpicStatus, Move, RunStatus, TaskStatus
from scheduler_svc.policy import decision
from scheduler_svc.policy.snapshot import EpicView, RunView, TaskView
from tests.chaos.fenced_remote import Defects


@dataclass
class Task:
    """A row of tasks, with what its attempts have come to."""

    name: TaskName
    status: TaskStatus = TaskStatus(pb.TASK_STATE_PENDING)  # noqa: RUF009 (immutable)
    attempts: int = 0
    lost: int = 0
    live: AttemptName | None = None
    stopping: bool = False


@dataclass
class Epic:
    """A row of epics."""

    name: EpicName
    index: int
    tasks: list[Task]
    depends_on: tuple[str, ...]
    on_failure: "pb.OnFailure.ValueType"
    labels: frozenset[tuple[str, str]]
    status: EpicStatus = EpicStatus(pb.EPIC_STATE_BLOCKED)  # noqa: RUF009 (immutable)
    worker: str = ""
    generation: int = 0
    conflict: str = ""
    waits_for: str = ""
    # Of its accepted tasks, in order.
    commits: list[int] = field(default_factory=list)
    # The worker of each generation.
    places: dict[int, str] = field(default_factory=dict)

    @property
    def head(self) -> int:
        """The last accepted commit; 0: none."""
        return self.commits[-1] if self.commits else 0


@dataclass
class Run:
    """A row of runs."""

    name: RunName
    worker: str
    max_parallel: int
    retries: int
    epics: dict[str, Epic]
    status: RunStatus = RunStatus(pb.RUN_STATE_PENDING)  # noqa: RUF009 (immutable)
    waits_for: str = ""
    # The number of its live attempts.
    live: int = 0
    # When it was cancelled; None: it was not.
    cancelled_at: int | None = None


class Rows:
    """All runs that have not ended, oldest first, and the violations that a write shows."""

    def __init__(self, defects: Defects) -> None:
        self.violations: list[str] = []
        self.runs: dict[RunName, Run] = {}
        self.ended: dict[RunName, Run] = {}
        self._defects = defects
        self._epic_views: dict[EpicName, EpicView] = {}
        self._run_views: dict[RunName, RunView] = {}

    def add(self, run: Run) -> None:
        self.runs[run.name] = run

    def run(self, name: RunName) -> Run:
        return self.runs[name]

    def epic(self, name: EpicName) -> Epic:
        return self.runs[name.parent].epics[name.epic]

    def task(self, name: TaskName) -> Task:
        return next(task for task in self.epic(name.parent).tasks if task.name == name)

    def is_live(self, attempt: AttemptName) -> bool:
        """Returns whether an attempt has not ended."""
        return attempt.parent.parent.parent in self.runs and self.task(attempt.parent).live == attempt

    def views(self) -> tuple[RunView, ...]:
        return tuple(self._run_view(run) for run in self.runs.values())

    # Writes.

    def move_run(self, name: RunName, move: Move[RunStatus]) -> None:
        run = self._change(name)
        run.status = move.after(run.status, name)

    def move_epic(self, name: EpicName, move: Move[EpicStatus], conflict: str = "") -> None:
        epic = self._change_epic(name)
        epic.status, epic.conflict = move.after(epic.status, name), conflict

    def move_task(self, name: TaskName, move: Move[TaskStatus]) -> Task:
        self._change_epic(name.parent)
        task = self.task(name)
        task.status = move.after(task.status, name)
        return task

    def note_wait(self, name: RunName, reason: str) -> None:
        self._change(name).waits_for = reason

    def note_epic_wait(self, name: EpicName, reason: str) -> None:
        self._change_epic(name).waits_for = reason

    def move_home(self, name: RunName, worker: str) -> None:
        self._change(name).worker = worker

    def ask_to_stop(self, attempt: AttemptName) -> None:
        self._change_epic(attempt.parent.parent)
        self.task(attempt.parent).stopping = True

    def start(self, attempt: AttemptName, worker: str) -> None:
        """Starts an attempt on the epic's place, which `worker` is or becomes."""
        task, epic = self.task(attempt.parent), self.epic(attempt.parent.parent)
        run = self.run(epic.name.parent)
        if attempt.number != task.attempts + 1 or any(each.live for each in epic.tasks):
            self.violations.append(f"{attempt} starts next to another one")
        self.move_task(task.name, moves.TASK_START)
        task.attempts, task.live, task.stopping = attempt.number, attempt, False
        run.live += 1
        if epic.status.state == pb.EPIC_STATE_READY:
            self.move_epic(epic.name, moves.EPIC_START)
        if run.status.state == pb.RUN_STATE_PENDING:
            self.move_run(run.name, moves.RUN_START)
        if worker != epic.worker:
            epic.worker, epic.waits_for = worker, ""
            epic.generation += 0 if self._defects.reused_generation and epic.generation else 1
        if epic.places.setdefault(epic.generation, worker) != worker:
            self.violations.append(f"{epic.name} has two places of generation {epic.generation}")
        if run.live > run.max_parallel:
            self.violations.append(f"{run.name} has {run.live} live attempts and may have {run.max_parallel}")

    def lose_place(self, name: EpicName) -> None:
        """Gives the epic's next place another number."""
        self._change_epic(name).generation += 0 if self._defects.reused_generation else 1

    def skip_place(self, name: EpicName, generation: int) -> None:
        """Records that a number was used for a place that never was one."""
        epic = self._change_epic(name)
        epic.generation = max(epic.generation, generation)

    def accept(self, attempt: AttemptName, commit: int) -> None:
        """Ends an attempt as accepted."""
        self._end(attempt, moves.TASK_ACCEPT)
        self.epic(attempt.parent.parent).commits.append(commit)

    def fail(self, attempt: AttemptName, outcome: "pb.Outcome.ValueType") -> None:
        """Ends an attempt in another way; the real rule decides whether there is another one."""
        task = self.task(attempt.parent)
        task.lost += outcome == pb.OUTCOME_LOST
        retries = self.run(attempt.parent.parent.parent).retries
        again = decision.should_retry(outcome, task.attempts, retries, task.lost)
        self._end(attempt, moves.TASK_FAIL_ONCE if again else moves.TASK_FAIL)

    def finish(self, name: RunName, state: "pb.RunState.ValueType") -> None:
        self.move_run(name, moves.RUN_FINISH[state])
        run = self.runs.pop(name)
        if run.live:
            self.violations.append(f"{name} ends while {run.live} attempts are live")
        self.ended[name] = run
        self._run_views.pop(name, None)
        for epic in run.epics.values():
            self._epic_views.pop(epic.name, None)

    def _end(self, attempt: AttemptName, move: Move[TaskStatus]) -> None:
        task = self.move_task(attempt.parent, move)
        task.live, task.stopping = None, False
        self.run(attempt.parent.parent.parent).live -= 1

    def _change(self, name: RunName) -> Run:
        self._run_views.pop(name, None)
        return self.runs[name]

    def _change_epic(self, name: EpicName) -> Epic:
        self._epic_views.pop(name, None)
        return self._change(name.parent).epics[name.epic]

    # Views.

    def _run_view(self, run: Run) -> RunView:
        view = self._run_views.get(run.name)
        if view is None:
            view = self._run_views[run.name] = RunView(
                name=run.name,
                state=run.status.state,
                worker=run.worker,
                max_parallel=run.max_parallel,
                epics=tuple(map(self._epic_view, run.epics.values())),
                waits_for=run.waits_for,
                project="https://example.com/app",
                placed=True,
            )
        return view

    def _epic_view(self, epic: Epic) -> EpicView:
        view = self._epic_views.get(epic.name)
        if view is None:
            view = self._epic_views[epic.name] = EpicView(
                name=epic.name,
                state=epic.status.state,
                index=epic.index,
                priority=0,
                depends_on=epic.depends_on,
                on_failure=epic.on_failure,
                tasks=_task_views(epic.tasks),
                merged=epic.status.merge_state == MergeState.MERGED,
                merging=epic.status.merge_state == MergeState.MERGING,
                conflict=epic.conflict,
                moves=True,
                worker=epic.worker,
                generation=epic.generation,
                labels=epic.labels,
                waits_for=epic.waits_for,
            )
        return view


def _task_views(tasks: Sequence[Task]) -> tuple[TaskView, ...]:
    return tuple(
        TaskView(task.name, task.status.state, task.attempts, live_attempt=task.live, stopping=task.stopping)
        for task in tasks
    )
