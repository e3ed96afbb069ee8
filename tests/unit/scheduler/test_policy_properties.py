"""The decisions of `decide` lead every run to its end without exceeding a limit."""

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from heddle.plan.graphs import task_graph
from heddle.plan.graphs.task_graph import EpicTasks
from scheduler_svc.policy import decision, needs
from scheduler_svc.policy.actions import FailCandidates, FinishEpic, MergeEpic, MergeRun, StartTask
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, TaskView, WorkerView

ENDED = {pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED}


@st.composite
def runs(draw: st.DrawFn, key: str) -> RunView:
    name = RunName(key)
    epics = []
    for index in range(draw(st.integers(1, 6))):
        epic = name.epic(f"e{index}")
        tasks = tuple(
            TaskView(
                epic.task(f"t{place}"),
                pb.TASK_STATE_PENDING,
                attempts=0,
                estimate=draw(st.none() | st.floats(1, 100)),
                candidates=draw(st.sampled_from([0, 0, 2, 3])),
            )
            for place in range(draw(st.integers(1, 4)))
        )
        depends_on = (
            tuple(f"e{each}" for each in draw(st.sets(st.integers(0, index - 1), max_size=2)))
            if index
            else ()
        )
        epics.append(
            EpicView(
                name=epic,
                state=pb.EPIC_STATE_BLOCKED,
                index=index,
                priority=draw(st.sampled_from([1, 999])),
                depends_on=depends_on,
                on_failure=draw(st.sampled_from(pb.OnFailure.values())),
                tasks=tasks,
            )
        )
    epics = draw(with_needs(epics))
    return RunView(
        name=name,
        state=pb.RUN_STATE_PENDING,
        worker=draw(st.sampled_from(["one", "two"])),
        max_parallel=draw(st.integers(1, 4)),
        epics=tuple(epics),
        merge_into=draw(st.sampled_from(["", "main"])),
    )


@st.composite
def with_needs(draw: st.DrawFn, epics: list[EpicView]) -> list[EpicView]:
    """Adds needs between tasks of different epics, in any direction that does not make tasks wait for each other."""
    for _ in range(draw(st.integers(0, 4)) if len(epics) > 1 else 0):
        epic, other = draw(st.permutations(range(len(epics))))[:2]
        place = draw(st.integers(0, len(epics[epic].tasks) - 1))
        needed = draw(st.sampled_from(epics[other].tasks)).name
        tasks = list(epics[epic].tasks)
        tasks[place] = replace(tasks[place], needs=(*tasks[place].needs, needed))
        tried = [*epics]
        tried[epic] = replace(epics[epic], tasks=tuple(tasks))
        if not task_graph.cycle(task_graph.dependencies(waits(tried))):
            epics = tried
    return epics


def waits(epics: list[EpicView]) -> list[EpicTasks]:
    run = RunView(RunName("r"), pb.RUN_STATE_PENDING, "one", 1, tuple(epics))
    return needs.epic_tasks(run)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    workers = (WorkerView("one", draw(st.integers(1, 4))), WorkerView("two", draw(st.integers(1, 4))))
    return Snapshot(tuple(draw(runs(f"r{number}")) for number in range(draw(st.integers(1, 3)))), workers)


class World:
    """Simulates a run to its end with outcomes from a seed, and checks the invariants on the way."""

    def __init__(self, snapshot: Snapshot, seed: int) -> None:
        self.board = Board(snapshot)
        self.random = random.Random(seed)
        self.merges: list[MergeEpic | MergeRun] = []
        # Tasks whose work of a candidate is being taken over.
        self.taken: list[TaskName] = []

    def play(self) -> None:
        for _ in range(1000):
            self._settle()
            if not (self.merges or self.taken or self.board.live() or self._asked()):
                return
            self._advance()
        raise AssertionError("it never ends")

    def _settle(self) -> None:
        # Each round changes the board; a run needs only a few rounds to settle.
        for _ in range(100):
            snapshot = self.board.snapshot
            actions = decision.decide(snapshot)
            assert actions == decision.decide(snapshot)
            for action in actions:
                self._check(action)
                self.board.act(action)
                if isinstance(action, MergeEpic | MergeRun):
                    self.merges.append(action)
                if isinstance(action, StartTask) and self.board.task(action.attempt.parent).takes_over:
                    self.taken.append(action.attempt.parent)
                if isinstance(action, FailCandidates) and self.random.random() < 0.3:
                    self.board.change_task(action.task, state=pb.TASK_STATE_PENDING)
            self._check_limits()
            if not actions:
                self._check_no_idle_slot()
                return
        raise AssertionError("it never comes to rest")

    def _check(self, action: object) -> None:
        if isinstance(action, StartTask):
            epic = self.board.epic(action.attempt.parent.parent)
            run = self.board.runs[epic.name.parent]
            task = self.board.task(action.attempt.parent.whole)
            assert task.chosen or run.state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}
            merged = {each.name.epic for each in run.epics if each.merged}
            assert merged.issuperset(epic.depends_on)
            before = epic.tasks[: [each.name for each in epic.tasks].index(task.name)]
            assert all(each.state in ENDED for each in before)
            needed = task.needs
            assert all(self.board.task(name).state == pb.TASK_STATE_ACCEPTED for name in needed)
            # A task with candidates has no session of its own: it takes over the work of one that has passed.
            lane = action.attempt.parent.candidate
            assert bool(task.candidates) == bool(task.chosen or lane)
            if task.chosen:
                assert not lane
                assert action.share is None
                assert task.lanes[task.chosen - 1].state == pb.TASK_STATE_PASSED
                assert not any(each.live for each in task.lanes)
        if isinstance(action, FinishEpic):
            assert all(task.state in ENDED for task in self.board.epic(action.epic).tasks)

    def _check_limits(self) -> None:
        live = self.board.live()
        # Only candidates of one task run at the same time in an epic, each once.
        of_epic: dict[EpicName, set[TaskName]] = {}
        for task in live:
            of_epic.setdefault(task.name.parent, set()).add(task.name.whole)
        assert all(len(names) == 1 for names in of_epic.values())
        assert max(Counter(task.name for task in live).values(), default=1) == 1
        assert all(task.name.candidate or not task.candidates for task in live)
        by_run = Counter(task.name.parent.parent for task in live)
        assert all(count <= self.board.runs[run].max_parallel for run, count in by_run.items())
        by_worker: Counter[str] = Counter()
        for run, count in by_run.items():
            by_worker[self.board.runs[run].worker] += count
        assert all(by_worker[worker.name] <= worker.slots for worker in self.board.workers)

    def _check_no_idle_slot(self) -> None:
        live = [task.name.parent.parent for task in self.board.live()]
        for run in self.board.snapshot.runs:
            slots = next(worker.slots for worker in self.board.workers if worker.name == run.worker)
            used = sum(self.board.runs[name].worker == run.worker for name in live)
            full = used >= slots or live.count(run.name) >= run.max_parallel
            if run.state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING} and not full:
                assert not any(self._could_use_a_slot(run, epic) for epic in run.epics)

    def _could_use_a_slot(self, run: RunView, epic: EpicView) -> bool:
        merged = {each.name.epic for each in run.epics if each.merged}
        if tried := [task for task in epic.tasks if task.trying and not task.chosen]:
            return any(lane.state == pb.TASK_STATE_PENDING for lane in tried[0].lanes)
        pending = [task for task in epic.tasks if task.state == pb.TASK_STATE_PENDING and not task.chosen]
        return (
            bool(pending)
            and all(self.board.task(name).state == pb.TASK_STATE_ACCEPTED for name in pending[0].needs)
            and merged.issuperset(epic.depends_on)
            and not epic.busy
        )

    def _asked(self) -> list[TaskView]:
        """Returns the tasks of runs that have not ended with a candidate that a person can choose."""
        tried = (task for task in self.board.tasks() if task.trying and not task.chosen)
        return [
            task
            for task in tried
            if task.name.parent.parent not in self.board.ended
            and any(lane.state == pb.TASK_STATE_PASSED for lane in task.lanes)
        ]

    def _choose(self, task: TaskView) -> None:
        passed = [lane for lane in task.lanes if lane.state == pb.TASK_STATE_PASSED]
        number = self.random.choice(passed).name.candidate
        if task.state == pb.TASK_STATE_WAITING:
            self.board.choose(task.name, number)
        else:
            self.board.change_task(task.name, chosen=number)

    def _end_take_over(self, task: TaskName) -> None:
        """Accepts the work that a task takes over; rarely, it cannot be accepted, and is chosen again or given up."""
        states = [pb.TASK_STATE_ACCEPTED] * 6 + [pb.TASK_STATE_PENDING, pb.TASK_STATE_FAILED]
        self.board.end_attempt(task, self.random.choice(states))

    def _advance(self) -> None:
        """Simulates one change: a session or merge ends, or an operator pauses, resumes or cancels."""
        if self.random.random() < 0.1:
            self._operate()
        elif self.merges and self.random.random() < 0.5:
            self._end_merge(self.merges.pop(self.random.randrange(len(self.merges))))
        elif (asked := self._asked()) and (self.random.random() < 0.2 or not self.board.live()):
            self._choose(self.random.choice(asked))
        elif self.taken and (self.random.random() < 0.5 or not self.board.live()):
            self._end_take_over(self.taken.pop(self.random.randrange(len(self.taken))))
        elif live := self.board.live():
            self._end_session(self.random.choice(live))
        elif self.merges:
            self._end_merge(self.merges.pop())

    def _operate(self) -> None:
        run = self.random.choice(list(self.board.runs.values()))
        state = self.random.choice([pb.RUN_STATE_RUNNING, pb.RUN_STATE_RUNNING, pb.RUN_STATE_CANCELLING])
        if run.state != pb.RUN_STATE_CANCELLING and run.name not in self.board.ended:
            self.board.runs[run.name] = replace(run, state=state)

    def _end_session(self, task: TaskView) -> None:
        outcome = self.random.choice([pb.OUTCOME_SUCCEEDED, pb.OUTCOME_SUCCEEDED, pb.OUTCOME_FAILED])
        if task.stopping:
            outcome = pb.OUTCOME_STOPPED
        retries = 0 if task.whole else 1
        again = decision.should_retry(outcome, task.attempts, retries=retries, lost=0)
        failed = pb.TASK_STATE_PENDING if again else pb.TASK_STATE_FAILED
        well = pb.TASK_STATE_PASSED if task.whole else pb.TASK_STATE_ACCEPTED
        state = well if outcome == pb.OUTCOME_SUCCEEDED else failed
        if task.whole:
            score = self.random.choice([None, 1.0, 2.0]) if task.name.epic == "e0" else None
            self.board.change_task(task.name, score=score)
        self.board.end_attempt(task.name, state)

    def _end_merge(self, merge: MergeEpic | MergeRun) -> None:
        merged = self.random.random() < 0.8
        if isinstance(merge, MergeEpic):
            self.board.end_merge(merge.epic, merged=merged)
        else:
            self.board.end_run_merge(merge.run, merged=merged)


@settings(max_examples=150, deadline=None)
@given(snapshots(), st.integers(0, 2**32))
def test_every_run_ends_and_no_limit_is_broken(snapshot: Snapshot, seed: int) -> None:
    """Random plans with random outcomes end, in order, within the limits, with no slot idle."""
    world = World(snapshot, seed)
    world.play()
    board = world.board
    assert board.ended.keys() == board.runs.keys()
    assert all(task.state in ENDED for task in board.tasks())
    for task in board.tasks():
        # Never two winners, and none whose checks did not pass.
        if task.candidates and task.state == pb.TASK_STATE_ACCEPTED:
            assert task.lanes[task.chosen - 1].state == pb.TASK_STATE_PASSED
        assert not any(lane.live or lane.startable for lane in task.lanes)
    for name, finished in board.ended.items():
        run = board.runs[name]
        all_succeeded = all(epic.state == pb.EPIC_STATE_SUCCEEDED for epic in run.epics)
        if finished.state == pb.RUN_STATE_SUCCEEDED:
            assert all_succeeded
            assert all(task.state == pb.TASK_STATE_ACCEPTED for epic in run.epics for task in epic.tasks)
        if finished.state == pb.RUN_STATE_FAILED:
            assert finished.reason
            assert not all_succeeded or run.merge_into_conflict


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_a_paused_run_comes_to_rest(snapshot: Snapshot) -> None:
    """A paused run starts nothing, whatever it contains."""
    paused = replace(snapshot, runs=tuple(replace(run, state=pb.RUN_STATE_PAUSED) for run in snapshot.runs))
    assert not any(isinstance(action, StartTask) for action in Board(paused).settle())
