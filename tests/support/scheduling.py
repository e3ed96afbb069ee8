"""Runs, epics and tasks in the form that decisions use."""

from dataclasses import replace
from typing import Any

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, TaskView, WorkerView

RUN = RunName("r")
WORKER = "local"


def a_task(
    key: str, state: "pb.TaskState.ValueType" = pb.TASK_STATE_PENDING, *, epic: str = "a", **changes: Any
) -> TaskView:
    """Returns a task of run r; unless pending or skipped, it has one attempt, live if the task runs."""
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
