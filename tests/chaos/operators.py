"""The operators of a simulated day. Refused commands change nothing."""

import random
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import CANDIDATE, EpicName, RunName, TaskName
from scheduler_svc.commands.merges import sync_base
from scheduler_svc.commands.plans import plan_changes
from scheduler_svc.commands.runs import candidates, runs_and_tasks
from scheduler_svc.store.db.tables import epics, runs, tasks
from scheduler_svc.store.rows import plans as plan_rows
from tests.chaos.core import Core
from tests.chaos.session_ends import Write


class Operators:
    """Pauses, stops, retries, cancels, choices, decisions about conflicts and changes of plans, at random."""

    def __init__(self, core: Core, chance: random.Random) -> None:
        self._core = core
        self._random = chance
        # The tick at which each run is resumed.
        self._paused: dict[RunName, int] = {}

    def act(self, runs_so_far: Sequence[RunName], tick: int) -> None:
        """Gives some commands about the runs that were created so far."""
        if not runs_so_far:
            return
        chance, now = self._random, self._core.now
        works: list[Write] = []
        for run, until in list(self._paused.items()):
            if until <= tick:
                del self._paused[run]
                works.append(partial(runs_and_tasks.resume_run, name=run, actor="ada", now=now))
        self._resume_refused()
        self._decide()
        run = chance.choice(runs_so_far)
        if chance.random() < 0.2:
            self._paused[run] = tick + chance.randint(1, 6)
            works.append(lambda connection: runs_and_tasks.pause_run(connection, run, "ada", now))
        if chance.random() < 0.01:
            works.append(lambda connection: runs_and_tasks.cancel_run(connection, run, "ada"))
        if self._core.processes and chance.random() < 0.1:
            attempt = chance.choice(list(self._core.processes))
            works.append(lambda connection: runs_and_tasks.stop(connection, attempt, "ada", now))
        if chance.random() < 0.1 and (failed := self._failed()):
            task = chance.choice(failed)
            works.append(
                lambda connection: runs_and_tasks.retry_task(
                    connection, task, "ada", runs_and_tasks.AgentChoice(), now
                )
            )
        for work in works:
            self._ask(work)
        if chance.random() < 0.05:
            self._change_plan(chance.choice(runs_so_far))

    def _ask(self, work: Write) -> None:
        """Runs a command; one that does not fit to the state is refused."""
        try:
            self._core.write(work)
        except HeddleError as refused:
            if refused.reason not in {pb.ERROR_REASON_WRONG_STATE, pb.ERROR_REASON_PLAN_CHANGE_REFUSED}:
                raise

    def _decide(self) -> None:
        """Moves the project's branch; chooses candidates and decides about conflicts that wait for an operator."""
        chance, now = self._random, self._core.now
        if chance.random() < 0.05:
            self._core.base.move(conflicts=chance.random() < 0.1)
        asks = sa.and_(tasks.c.state == pb.TASK_STATE_WAITING, tasks.c.candidates > 0)
        for row in self._rows(tasks, tasks.c.task, asks):
            if chance.random() < 0.3:
                self._choose(TaskName(*row))
        for epic in self._rows(epics, epics.c.epic, epics.c.sync_state == pb.SYNC_STATE_HELD):
            if chance.random() < 0.3:
                self._ask(
                    partial(sync_base.sync, name=EpicName(*epic[:2]), actor="ada", now=now, cancel=True)
                )

    def _choose(self, task: TaskName) -> None:
        """Chooses any of the candidates that have passed."""
        passed = sa.and_(
            tasks.c.state == pb.TASK_STATE_PASSED, tasks.c.task.startswith(f"{task.task}{CANDIDATE}")
        )
        names = [TaskName(*row) for row in self._rows(tasks, tasks.c.task, passed)]
        number = self._random.choice([name.candidate for name in names if name.parent == task.parent])
        self._ask(
            partial(candidates.choose_candidate, name=task, actor="ada", number=number, now=self._core.now)
        )

    def _change_plan(self, run: RunName) -> None:
        """Applies a plan in which a random epic has another task at its end, and its last task another prompt."""
        with self._core.engine.connect() as connection:
            plan = plan_rows.read(connection, run).plan
        epic = self._random.choice(plan.epics)
        epic.tasks[-1].prompt += "!"
        epic.tasks.add(key=f"n{len(epic.tasks)}", prompt="More")

        def apply(connection: sa.Connection) -> None:
            found = plan_changes.compare(connection, run, plan)
            plan_changes.apply(connection, found, pb.ApplyPlanRequest(plan=plan), "ada", self._core.now)

        self._ask(apply)

    def _resume_refused(self) -> None:
        """Resumes runs in one transaction: a refusal pauses most of them, and none of these is refused to resume."""
        resume = partial(runs_and_tasks.resume_run, actor="ada", now=self._core.now)
        if held := [partial(resume, name=each) for each in self._refused() if self._random.random() < 0.5]:
            self._core.write(*held)

    def _refused(self) -> list[RunName]:
        """Returns the runs that a provider's refusal has paused."""
        chosen = sa.select(runs.c.run).where(runs.c.state == pb.RUN_STATE_PAUSED, runs.c.held_by != "")
        with self._core.engine.connect() as connection:
            return [RunName(run) for run in connection.execute(chosen.order_by(runs.c.run)).scalars()]

    def _failed(self) -> list[TaskName]:
        failed = sa.and_(tasks.c.state == pb.TASK_STATE_FAILED, tasks.c.candidate == 0)
        return [TaskName(*row) for row in self._rows(tasks, tasks.c.task, failed)]

    def _rows(
        self, table: sa.Table, key: sa.Column[str], which: sa.ColumnElement[bool]
    ) -> "list[tuple[str, ...]]":
        """Returns the names of rows: the run, the epic, and `key`."""
        chosen = sa.select(table.c.run, table.c.epic, key).where(which)
        with self._core.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(chosen.order_by(*chosen.selected_columns))]
