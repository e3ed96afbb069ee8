"""Checks the store after every step: its rows, and the new events of its logs."""

from typing import Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.store.db.events import read_events
from scheduler_svc.store.db.tables import attempts, epics, runs, tasks
from tests.chaos.audit import Audit

_ALL: Final = 1 << 30

_TASK = (attempts.c.run, attempts.c.epic, attempts.c.task)
_OF_TASK = sa.and_(
    tasks.c.run == attempts.c.run,
    tasks.c.epic == attempts.c.epic,
    tasks.c.task == attempts.c.task,
)
# Candidates with the same number work in the same worktree.
_LIVE_TWICE = (
    sa.select(attempts.c.run, attempts.c.epic)
    .join(tasks, _OF_TASK)
    .where(attempts.c.ended_at.is_(None))
    .group_by(attempts.c.run, attempts.c.epic, tasks.c.candidate)
    .having(sa.func.count() > 1)
)
_TWO_WINNERS = (
    sa.select(tasks.c.run, tasks.c.epic)
    .where(tasks.c.candidate > 0, tasks.c.state == pb.TASK_STATE_ACCEPTED)
    .group_by(tasks.c.run, tasks.c.epic, tasks.c.position)
    .having(sa.func.count() > 1)
)
_whole = tasks.alias("whole")
_WRONG_WINNER = (
    sa.select(tasks.c.run, tasks.c.epic, tasks.c.task)
    .join(
        _whole,
        sa.and_(
            _whole.c.run == tasks.c.run,
            _whole.c.epic == tasks.c.epic,
            _whole.c.position == tasks.c.position,
            _whole.c.candidate == 0,
        ),
    )
    .where(
        tasks.c.candidate > 0,
        tasks.c.state == pb.TASK_STATE_ACCEPTED,
        sa.or_(
            _whole.c.state != pb.TASK_STATE_ACCEPTED,
            _whole.c.chosen != tasks.c.candidate,
            _whole.c.commit_id != tasks.c.commit_id,
        ),
    )
)
_ACCEPTED_AGAIN = (
    sa.select(*_TASK, sa.func.count() - 1)
    .where(attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED)
    .group_by(*_TASK)
    .having(sa.func.count() > 1)
)
_LIVE_IN_ENDED_RUN = (
    sa.select(*_TASK)
    .join(runs, runs.c.run == attempts.c.run)
    .where(attempts.c.ended_at.is_(None), runs.c.state.in_(ENDED_RUN))
)
_LIVE_OF_IDLE_TASK = (
    sa.select(*_TASK)
    .join(tasks, _OF_TASK)
    .where(
        attempts.c.ended_at.is_(None),
        tasks.c.state.not_in((pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING)),
    )
)
_WRONG_ROWS: Final = {
    "has two live attempts": _LIVE_TWICE,
    "has two chosen candidates": _TWO_WINNERS,
    "is accepted although its task has not accepted its work": _WRONG_WINNER,
    "runs in a run that has ended": _LIVE_IN_ENDED_RUN,
    "has a live attempt although its task does not run": _LIVE_OF_IDLE_TASK,
}


class StoreWatch:
    """Records the logs of all runs, and every violated invariant."""

    def __init__(self) -> None:
        self.audits: dict[str, Audit] = {}
        self.events = 0
        self._wrong: list[str] = []

    @property
    def violations(self) -> list[str]:
        return self._wrong + [each for audit in self.audits.values() for each in audit.violations]

    def look(self, connection: sa.Connection) -> None:
        """Checks the rows and the new events."""
        for what, query in _WRONG_ROWS.items():
            self._wrong += ["/".join(row) + f" {what}" for row in connection.execute(query)]
        for run, sequence in connection.execute(sa.select(runs.c.run, runs.c.sequence)):
            audit = self.audits.get(run) or self._audit(connection, run)
            if audit.last == sequence:
                continue
            news = read_events(connection, run, audit.last, _ALL, _ALL)
            if any(event.HasField("plan_applied") for event in news):
                audit.replan(_planned(connection, run))
            for event in news:
                audit.take(event)
                self.events += 1
            if audit.last != sequence:
                self._wrong.append(f"{run} counts {sequence} events and has {audit.last}")
        for run, epic, task, again in connection.execute(_ACCEPTED_AGAIN):
            if again > self.audits[run].reopened[epic, task]:
                self._wrong.append(f"{run}/{epic}/{task} was accepted twice")

    def accepted(self, epic: EpicName) -> list[str]:
        """Returns the commits of an epic's accepted tasks from its log."""
        return self.audits[epic.run].commits[epic.epic]

    def rewinds(self, epic: EpicName) -> bool:
        """Returns whether an epic's branch may still contain commits that were set aside."""
        return epic.epic in self.audits[epic.run].rewinding

    def _audit(self, connection: sa.Connection, run: str) -> Audit:
        audit = self.audits[run] = Audit(str(RunName(run)), _planned(connection, run))
        return audit


def _planned(connection: sa.Connection, run: str) -> dict[str, list[str]]:
    """Returns the tasks of each epic in the order in which they must run."""
    plan: dict[str, list[str]] = {}
    for (epic,) in connection.execute(sa.select(epics.c.epic).where(epics.c.run == run)):
        chosen = sa.select(tasks.c.task).where(tasks.c.run == run, tasks.c.epic == epic)
        plan[epic] = list(connection.execute(chosen.order_by(tasks.c.position)).scalars())
    return plan
