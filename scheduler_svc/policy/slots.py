"""Decides which epics get the free slots, and which sessions are parked for them. Part of the policy; pure."""

from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from heddle import pb
from heddle.plan.graphs import graph, task_graph
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy.actions import (
    Action,
    AskPlace,
    FailTask,
    ParkAttempt,
    PauseRun,
    StartCandidates,
    StartTask,
)
from scheduler_svc.policy.ledger import Ledger
from scheduler_svc.policy.needs import Needs, epic_tasks
from scheduler_svc.policy.places import Places
from scheduler_svc.policy.snapshot import EpicView, ProviderView, RunView, TaskView

_GOES_ON: Final = frozenset({pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING})


def is_ready(epic: EpicView, done: set[str], causes: Container[str]) -> bool:
    """Returns whether an epic's pending tasks lack only a free slot to run.

    `done` contains the keys of the merged epics, `causes` the keys of the epics that must not continue.
    """
    if epic.state in ENDED_EPIC or epic.name.epic in causes:
        return False
    return epic.state != pb.EPIC_STATE_BLOCKED or done.issuperset(epic.depends_on)


def merged(run: RunView) -> set[str]:
    """Returns the keys of the epics that are merged into the run's branch."""
    return {epic.name.epic for epic in run.epics if epic.merged}


def dependencies(run: RunView) -> dict[str, tuple[str, ...]]:
    """Returns the dependencies of each epic, by key."""
    return {epic.name.epic: epic.depends_on for epic in run.epics}


class Gate:
    """Admits tasks whose providers are available; for an uncertain provider, one task at a time."""

    def __init__(self, providers: Iterable[ProviderView]) -> None:
        self._known = {each.name: each for each in providers}
        self._closed = {each.name for each in self._known.values() if each.held or each.tried}
        # False: all tasks are admitted.
        self.narrow = bool(self._known)
        self.refuses = any(each.refusal for each in self._known.values())

    def admits(self, task: TaskView) -> bool:
        return task.provider not in self._closed

    def enter(self, task: TaskView) -> None:
        """Records that a task starts."""
        if task.provider in self._known:
            self._closed.add(task.provider)

    def refusal(self, task: TaskView) -> str:
        """Returns why the operator must act before the task can start; empty if that is not needed."""
        known = self._known.get(task.provider)
        return known.refusal if known else ""


class Entry(NamedTuple):
    """A task or candidate that could start now. Only candidates of one task can be of the same epic."""

    epic: EpicView
    task: TaskView


class Queue:
    """The epics of a run that could start a task now, and how many sessions the run has."""

    def __init__(
        self,
        run: RunView,
        place: int,
        causes: Container[str],
        typical_seconds: float | None,
        *,
        ledger: Ledger,
        gate: Gate,
        needs: Needs,
        may_start: bool,
    ) -> None:
        self.run = run
        self.place = place
        # The live tasks, each with its worker.
        sessions = [
            (run.worker_of(epic), task)
            for epic in run.epics
            for task in epic.sessions
            if task.live and not task.takes_over
        ]
        self.live = len(sessions)
        # The workers of its sessions. Attempts without a session that wait for their environment leave their slots
        # to others.
        self.occupied = [worker for worker, task in sessions if not (run.faulty and task.starting)]
        # The workers whose slots will soon be free.
        self.leaving = [worker for worker, task in sessions if task.stopping]
        # Longest waiting first.
        self.parkable = sorted(
            (each for each in sessions if each[1].parkable and not each[1].stopping),
            key=lambda each: each[1].asked_at or 0,
        )
        self._may_start = may_start and run.state in _GOES_ON
        self._causes = causes
        self._typical_seconds = typical_seconds
        self._ledger = ledger
        self._gate = gate
        self._needs = needs

    def has_next(self) -> bool:
        return self.live < self.run.max_parallel and self._may_start and bool(self._admitted())

    def waiting(self) -> list[Entry]:
        """Returns its tasks and candidates that lack only a slot, the best first."""
        return self._admitted()[::-1] if self._may_start else []

    def find_place(self, places: Places) -> tuple[Entry, str] | None:
        """Returns the best start for which a worker has a slot, and that worker; None if there is none."""
        for entry in reversed(self._admitted()):
            if worker := places.choose(self.run, *entry):
                return entry, worker
            if not self.run.placed:
                # The others are at the same worker.
                return None
        return None

    def asks(self, places: Places) -> Iterator[Action]:
        """Yields what its epics ask of the pool: a place for each that could run at once, and no more."""
        # Candidates of one task share a place.
        waiting = {epic.name: (epic, task) for epic, task in reversed(self.waiting()) if epic.moves}
        room = self.run.max_parallel - self.live
        for epic, task in list(waiting.values())[::-1][: max(room, 0)]:
            if reason := places.failure(epic):
                yield FailTask(task.name, reason)
            elif places.asks(epic) and not places.asked(epic):
                yield AskPlace(epic.name)

    def refused(self) -> PauseRun | None:
        """Returns the pause of a run whose next task needs a provider that requires action of the operator.

        After this, no task of the run starts.
        """
        if not self._may_start or not self._gate.refuses:
            return None
        for _, task in reversed(self._best_last):
            if not task.fans_out and (refusal := self._gate.refusal(task)):
                again = f"then `heddle resume {self.run.name.run}`"
                self._may_start = False
                reason = f"{task.provider} is on hold: {refusal.rstrip('.')}; {again}"
                return PauseRun(self.run.name, reason, held_by=task.provider)
        return None

    def start(self, entry: Entry, worker: str, left: str) -> StartTask | StartCandidates | None:
        """Returns the start of a task or candidate on a worker; None if too little of a budget is free for it.

        A task with candidates first gets them, and the slot that it would use. `left` is why the epic leaves its
        earlier place.
        """
        epic, task = entry
        at_once = min(len(self._admitted()), self.run.max_parallel - self.live)
        of_task = sum(each.epic is epic for each in self._admitted())
        if self._best_last[-1] is entry:
            self._best_last.pop()
        else:
            self._best_last = [each for each in self._best_last if each is not entry]
        share = self._ledger.share(self.run, epic, task, at_once, min(at_once, of_task))
        if share == 0:
            return None
        if task.fans_out:
            self.live += 1
            return StartCandidates(task.name)
        if share:
            self._ledger.reserve(self.run, epic, task, share)
        self._gate.enter(task)
        self.live += 1
        return StartTask(
            task.name.attempt(task.attempts + 1),
            share,
            worker if epic.moves else "",
            left if epic.moves else "",
        )

    def _admitted(self) -> list[Entry]:
        """Returns what could start, the best last."""
        if not self._gate.narrow:
            return self._best_last
        # Candidates can have other agents than their task.
        return [each for each in self._best_last if each.task.fans_out or self._gate.admits(each.task)]

    # Computed on first use: sorting is expensive, and most snapshots have no free slot.
    @cached_property
    def _best_last(self) -> list[Entry]:
        done = merged(self.run)
        waiting = [
            Entry(epic, task)
            for epic in self.run.epics
            if is_ready(epic, done, self._causes) and not epic.merging
            for task in _next(epic)
            if not task.paced and self._needs.met(task)
        ]
        work = _work_ahead(self.run, self._typical_seconds, by_task=self._needs.exist)
        return sorted(
            waiting,
            key=lambda each: (
                each.task.resumes,
                -each.epic.priority,
                work[each.epic.name.epic],
                -each.epic.index,
                -each.task.name.candidate if each.task.whole else 0,
            ),
        )


def starts(queues: list[Queue], places: Places) -> Iterator[Action]:
    """Yields the starts that fill the free slots; the run with the fewest sessions comes first."""
    for queue in queues:
        for worker in queue.occupied:
            places.occupy(worker)
    able = [queue for queue in queues if queue.has_next()]
    while able:
        queue = min(able, key=lambda each: (each.live, each.place))
        found = queue.find_place(places)
        if found is not None:
            entry, worker = found
            if start := queue.start(entry, worker, places.left(entry.epic, worker)):
                places.occupy(worker)
                yield start
        if found is None or not queue.has_next():
            able.remove(queue)
    for queue in queues:
        yield from queue.asks(places)
    yield from _parks(queues, places)


def _parks(queues: Iterable[Queue], places: Places) -> Iterator[Action]:
    """Yields the sessions to park for epics without a slot: at most one for each.

    Slots of sessions that end anyway count as free. Repeats the result if called again before a
    parked session has ended.
    """
    queues = list(queues)
    if not any(queue.parkable for queue in queues):
        return
    for queue in queues:
        for worker in queue.leaving:
            places.vacate(worker)
    for queue in sorted(queues, key=lambda each: (each.live, each.place)):
        for entry in queue.waiting():
            yield from _parked_for(queue, entry, queues, places)


def _parked_for(queue: Queue, entry: Entry, queues: Sequence[Queue], places: Places) -> Iterator[ParkAttempt]:
    """Yields the session to park for a start; nothing if it gets a slot otherwise, or no session can be parked."""
    run, (epic, task) = queue.run, entry
    run_is_full = queue.live - len(queue.leaving) >= run.max_parallel
    if not run_is_full and (worker := places.choose(run, epic, task)):
        places.occupy(worker)
        queue.live += 1
        return
    mates = [queue] if run_is_full else queues
    waiting = [
        (asked.asked_at or 0, mate, (worker, asked))
        for mate in mates
        for worker, asked in mate.parkable
        if places.may_use(run, epic, task, worker)
    ]
    if not waiting:
        return
    _, giver, parked = min(waiting, key=lambda each: each[0])
    giver.parkable.remove(parked)
    giver.live -= 1
    queue.live += 1
    attempt = parked[1].live_attempt
    assert attempt  # noqa: S101 (only live sessions are parkable)
    yield ParkAttempt(attempt)


def _next(epic: EpicView) -> Iterator[TaskView]:
    """Yields the task of the epic that could start; or the candidates that could, of the task that is tried."""
    if not epic.busy:
        if (task := epic.next_task) and not task.takes_over:
            yield task
        return
    for task in epic.tasks:
        if task.trying and not task.chosen:
            startable = [lane for lane in task.lanes if lane.startable]
            # The first one decides where all of them are.
            yield from startable if epic.tied or not epic.moves else startable[:1]


def _work_ahead(run: RunView, typical_seconds: float | None, *, by_task: bool) -> dict[str, float]:
    """Returns for each epic its remaining work plus the longest chain of dependent work.

    The unit is seconds, or tasks if their lengths are unknown. Without the
    chains, plans with dependencies took 1.1 to 1.3 times the lower bound in
    tests/bench/makespan.py; with them, 1.01.
    """
    typical = typical_seconds or _mean_estimate(run) or 1.0
    if by_task:
        return _work_ahead_by_task(run, typical)
    remaining = {epic.name.epic: _remaining(epic, typical) for epic in run.epics}
    return graph.lengths_ahead(dependencies(run), remaining)


def _work_ahead_by_task(run: RunView, typical: float) -> dict[str, float]:
    """The same for a run with needs between tasks, whose chains can leave an epic after any of its tasks."""
    lengths = {
        f"{epic.name.epic}/{task.name.task}": 0.0
        if task.state != pb.TASK_STATE_PENDING or epic.state in ENDED_EPIC
        else (typical if task.estimate is None else task.estimate)
        for epic in run.epics
        for task in epic.tasks
    }
    ahead = graph.lengths_ahead(task_graph.dependencies(epic_tasks(run)), lengths)
    first = {epic.name.epic: _current(epic) for epic in run.epics}
    return {key: ahead.get(f"{key}/{task.name.task}", 0.0) if task else 0.0 for key, task in first.items()}


def _current(epic: EpicView) -> TaskView | None:
    return next((task for task in epic.tasks if task.trying), None) or epic.next_task


def _remaining(epic: EpicView, typical: float) -> float:
    if epic.state in ENDED_EPIC:
        return 0.0
    pending = [task for task in epic.tasks if task.state == pb.TASK_STATE_PENDING]
    return sum(typical if task.estimate is None else task.estimate for task in pending)


def _mean_estimate(run: RunView) -> float:
    given = [task.estimate for epic in run.epics for task in epic.tasks if task.estimate is not None]
    return sum(given) / len(given) if given else 0.0
