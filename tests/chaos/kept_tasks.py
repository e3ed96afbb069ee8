"""What no change of a plan may touch."""

from typing import NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from scheduler_svc.store.db.tables import EPIC_OF_TASK, epics, tasks


class Started(NamedTuple):
    """What no change of a plan may touch of a task that has started or ended."""

    state: int
    commit: str
    spec: bytes
    attempts: int
    resolves: bool
    # What its epic waited for, and what its failure does. Empty: the epic has not started.
    epic: tuple[object, ...]


def _after_skip(task: Started) -> set[Started | None]:
    """Returns what else becomes of a task if failed ones are skipped; None: it counts as one that has not started."""
    if task.state == pb.TASK_STATE_FAILED and not task.resolves:
        return {task._replace(state=pb.TASK_STATE_SKIPPED)}
    if task.state == pb.TASK_STATE_SKIPPED:
        # It did not run because of a failure.
        return {task._replace(state=pb.TASK_STATE_PENDING)} if task.attempts else {None}
    return set()


def started(engine: sa.Engine, run: RunName) -> "dict[str, Started]":
    """Returns what no change of a plan may touch, by EPIC/TASK: tasks that have started or ended."""
    with engine.connect() as connection:
        columns = (
            tasks.c.state,
            tasks.c.commit_id,
            tasks.c.spec,
            tasks.c.attempt_count,
            tasks.c.resolves,
        )
        of_epic = (epics.c.spec.label("epic_spec"), epics.c.started_at)
        chosen = (
            sa.select(tasks.c.epic, tasks.c.task, *columns, *of_epic)
            .join(epics, EPIC_OF_TASK)
            .where(
                tasks.c.run == run.run,
                sa.or_(tasks.c.attempt_count > 0, tasks.c.state != pb.TASK_STATE_PENDING),
            )
        )
        found = {}
        for row in connection.execute(chosen):
            epic = pb.PlanEpic.FromString(row.epic_spec)
            order = (tuple(epic.depends_on), epic.on_failure) if row.started_at is not None else ()
            found[f"{row.epic}/{row.task}"] = Started(*row[2:7], order)
        return found


def check_kept(before: "dict[str, Started]", after: "dict[str, Started]", *, skips: bool) -> None:
    """Checks that a change of a plan left what had started; `skips`: except for failed and unrun tasks."""
    for name, task in before.items():
        allowed = {task, *(_after_skip(task) if skips else ())}
        now = after.get(name)
        assert now in allowed, f"a changed plan changes {name}, which has started: {task} is {now}"
    new = after.keys() - before.keys()
    assert not new, f"a changed plan starts {new}"
