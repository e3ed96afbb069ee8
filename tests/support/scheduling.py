"""Runs in memory: act on what `policy.decide` says without a database, git or agents."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc import policy
from scheduler_svc.snapshot import (
    Action,
    AwaitMerge,
    DenyOverdue,
    EpicView,
    FinishEpic,
    FinishRun,
    MergeEpic,
    MergeRun,
    ParkAttempt,
    PauseRun,
    ReadyEpic,
    ResolveConflict,
    RunView,
    SkipTask,
    Snapshot,
    StartTask,
    StopAttempt,
    TaskView,
    WorkerView,
)

RUN = RunName("r")
WORKER = "local"


def a_task(
    key: str, state: "pb.TaskState.ValueType" = pb.TASK_STATE_PENDING, *, epic: str = "a", **changes: Any
) -> TaskView:
    """Returns a task of run r; one that is not pending has had an attempt, which is live if it runs."""
    name = TaskName(RUN.run, epic, key)
    attempts = 0 if state in {pb.TASK_STATE_PENDING, pb.TASK_STATE_SKIPPED} else 1
    running = state in {pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING}
    task = TaskView(name, state, attempts, live_attempt=name.attempt(1) if running else None)
    return replace(task, **changes)


def an_epic(key: str, *tasks: "pb.TaskState.ValueType", **changes: Any) -> EpicView:
    """Returns an epic of run r with tasks t1, t2, … in these states."""
    views = tuple(a_task(f"t{place}", state, epic=key) for place, state in enumerate(tasks, 1))
    epic = EpicView(
        name=EpicName(RUN.run, key),
        state=pb.EPIC_STATE_READY,
        index=0,
        priority=999,
        depends_on=(),
        on_failure=pb.ON_FAILURE_CONTINUE,
        tasks=views,
    )
    return replace(epic, **changes)


def a_run(*epics: EpicView, **changes: Any) -> RunView:
    """Returns run r with these epics in this order."""
    placed = tuple(replace(epic, index=index) for index, epic in enumerate(epics))
    run = RunView(RUN, pb.RUN_STATE_RUNNING, WORKER, max_parallel=100, epics=placed)
    return replace(run, **changes)


def a_snapshot(*runs: RunView, slots: int = 100) -> Snapshot:
    """Returns a snapshot with one worker."""
    return Snapshot(runs, (WorkerView(WORKER, slots),))


class Board:
    """A mutable copy of a snapshot that does what actions say, instantly.

    Sessions and merges stay under way until `end_attempt`, `end_merge` and
    `end_run_merge` say how they ended.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.runs = {run.name: run for run in snapshot.runs}
        self.ended: dict[RunName, FinishRun] = {}
        self.workers = snapshot.workers
        self.typical_seconds = snapshot.typical_seconds

    @property
    def snapshot(self) -> Snapshot:
        runs = tuple(run for name, run in self.runs.items() if name not in self.ended)
        return Snapshot(runs, self.workers, self.typical_seconds)

    def settle(self) -> list[Action]:
        """Decides and acts until there is nothing to do; returns all actions."""
        done: list[Action] = []
        while actions := policy.decide(self.snapshot):
            for action in actions:
                self.act(action)
            done += actions
        return done

    def act(self, action: Action) -> None:  # noqa: C901, PLR0912 (one for each kind)
        """Does what the scheduler's loop would do with the database."""
        match action:
            case ReadyEpic(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_READY)
            case StartTask(attempt):
                task = self.task(attempt.parent)
                assert attempt.number == task.attempts + 1
                self.change_task(
                    attempt.parent, state=pb.TASK_STATE_RUNNING, attempts=attempt.number, live_attempt=attempt
                )
                self.change_epic(attempt.parent.parent, state=pb.EPIC_STATE_RUNNING)
            case StopAttempt(attempt):
                self.change_task(attempt.parent, stopping=True)
            case ParkAttempt(attempt):
                self.change_task(
                    attempt.parent, state=pb.TASK_STATE_WAITING, live_attempt=None, parkable=False
                )
            case DenyOverdue(attempt):
                self.change_task(attempt.parent, state=pb.TASK_STATE_PENDING, resumes=True, overdue=False)
            case PauseRun(run):
                self.runs[run] = replace(self.runs[run], state=pb.RUN_STATE_PAUSED)
            case SkipTask(name):
                self.change_task(name, state=pb.TASK_STATE_SKIPPED)
            case MergeEpic(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_MERGING, merging=True)
            case AwaitMerge(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_AWAITING_MERGE)
            case ResolveConflict(name):
                view = self.epic(name)
                task = a_task(f"resolve-{len(view.tasks)}", epic=name.epic, resolves=True)
                self.change_epic(name, tasks=(*view.tasks, task), conflict="", state=pb.EPIC_STATE_RUNNING)
            case FinishEpic(epic, state):
                self.change_epic(epic, state=state)
            case MergeRun(run):
                self.runs[run] = replace(self.runs[run], merging_into=True)
            case FinishRun(run):
                self.ended[run] = action

    def end_attempt(self, name: TaskName, state: "pb.TaskState.ValueType") -> None:
        """Ends the live attempt of a task, which is then in `state`."""
        self.change_task(name, state=state, live_attempt=None, stopping=False)

    def end_merge(self, epic: EpicName, *, merged: bool) -> None:
        """Ends the merge of an epic."""
        self.change_epic(epic, merging=False, merged=merged, conflict="" if merged else "1 file conflicts")

    def end_run_merge(self, run: RunName, *, merged: bool) -> None:
        """Ends the merge into the user's branch."""
        self.runs[run] = replace(
            self.runs[run], merging_into=False, merged_into=True, merge_into_conflict=not merged
        )

    def task(self, name: TaskName) -> TaskView:
        return next(task for task in self.epic(name.parent).tasks if task.name == name)

    def epic(self, name: EpicName) -> EpicView:
        return next(epic for epic in self.runs[name.parent].epics if epic.name == name)

    def tasks(self) -> Sequence[TaskView]:
        return [task for run in self.runs.values() for epic in run.epics for task in epic.tasks]

    def live(self) -> Sequence[TaskView]:
        return [task for task in self.tasks() if task.live_attempt]

    def change_task(self, name: TaskName, **changes: Any) -> None:
        tasks = self.epic(name.parent).tasks
        self.change_epic(
            name.parent,
            tasks=tuple(replace(task, **changes) if task.name == name else task for task in tasks),
        )

    def change_epic(self, name: EpicName, **changes: Any) -> None:
        run = self.runs[name.parent]
        epics = tuple(replace(epic, **changes) if epic.name == name else epic for epic in run.epics)
        self.runs[name.parent] = replace(run, epics=epics)
