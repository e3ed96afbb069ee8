"""The scheduler's core keeps its invariants for any sequence of commands."""

import shutil
import tempfile
from functools import cache, partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName, RunName, TaskName
from heddle.plan import rules
from scheduler_svc.commands.merges import epic_merges, sync_base
from scheduler_svc.commands.plans import plan_changes
from scheduler_svc.commands.plans.skip_failed import skip_failed
from scheduler_svc.commands.runs import candidates, rewind, runs_and_tasks
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db import engine
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.tables import epics, leadership, metadata, runs, tasks
from scheduler_svc.store.rows import plans as plan_rows
from tests.chaos.core import Core
from tests.chaos.kept_tasks import check_kept, started
from tests.chaos.plan_edits import plans
from tests.chaos.plans import grafted
from tests.chaos.session_ends import Write
from tests.support.postgres import running_postgres

# Hypothesis shrinks failing examples, and a busy machine is slow.
pytestmark = pytest.mark.timeout(900)

WORKERS = (WorkerView("one", 2), WorkerView("two", 1))

# Microseconds between two steps.
PACE = 1_000_000

# Longer than any provider's retry delay.
PAUSE = 3_600_000_000


# Operators' commands that do not fit to the state; the last one: a scripted agent resolves no conflict, and no one
# decides about a candidate alone.
_REFUSALS = {
    pb.ERROR_REASON_WRONG_STATE,
    pb.ERROR_REASON_PLAN_CHANGE_REFUSED,
    pb.ERROR_REASON_INVALID_FIELD,
}


@cache
def empty_database() -> bytes:
    """Returns the file of a database with the newest schema; migrating each database would be slow."""
    with tempfile.TemporaryDirectory(prefix="heddle-core-") as folder:
        opened = open_engine(f"sqlite:///{folder}/empty.db")
        migrate(opened)
        with opened.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        opened.dispose()
        return (Path(folder) / "empty.db").read_bytes()


class SchedulerCore(RuleBasedStateMachine):
    """Successive leaders on one database; sessions end when a rule says so."""

    project = "/repository"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="heddle-core-"))
        self.core = Core(self.empty())
        self.names: list[RunName] = []

    def empty(self) -> str:
        """Returns the URL of an empty database."""
        (self.folder / "heddle.db").write_bytes(empty_database())
        return f"sqlite:///{self.folder / 'heddle.db'}"

    @precondition(lambda self: len(self.names) < 3)
    @rule(plan=plans(), worker=st.sampled_from(WORKERS), max_parallel=st.integers(1, 3))
    def create(self, plan: pb.Plan, worker: WorkerView, max_parallel: int) -> None:
        name = RunName(f"run{len(self.names)}")
        self.core.create(name, plan, worker.name, max_parallel, self.project)
        self.names.append(name)

    @precondition(lambda self: len(self.names) < 3)
    @rule(worker=st.sampled_from(WORKERS), rounds=st.integers(0, 2))
    def draft(self, worker: WorkerView, rounds: int) -> None:
        name = RunName(f"run{len(self.names)}")
        self.core.draft(name, worker.name, rounds, self.project)
        self.names.append(name)

    @rule(connected=st.sampled_from([WORKERS, WORKERS, WORKERS[:1], ()]))
    def tick(self, connected: tuple[WorkerView, ...]) -> None:
        self.core.tick(connected)

    @precondition(lambda self: self.core.processes.keys() - self.core.preparing)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(
            [pb.OUTCOME_SUCCEEDED, pb.OUTCOME_SUCCEEDED, pb.OUTCOME_FAILED, pb.OUTCOME_RATE_LIMITED]
        ),
        rejects=st.booleans(),
        score=st.integers(1, 2),
    )
    def finish(self, data: st.DataObject, outcome: "pb.Outcome.ValueType", rejects: bool, score: int) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.core.processes.keys() - self.core.preparing)))
        heard = self.core.end(attempt, outcome, rejects=rejects, score=score)
        # The next leader may receive it once more.
        self.core.write(heard, heard)

    @precondition(lambda self: self.core.preparing or self.core.take_overs)
    @rule(data=st.data())
    def prepare_or_take_over(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.core.preparing | self.core.take_overs)))
        taken_over = attempt in self.core.take_overs
        heard = self.core.end(attempt, pb.OUTCOME_SUCCEEDED) if taken_over else self.core.prepare(attempt)
        self.core.write(heard, heard)

    @precondition(lambda self: self.core.processes)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.core.kill(data.draw(st.sampled_from(sorted(self.core.processes))))

    @precondition(lambda self: self.core.lost or self.core.stopping or self.core.take_overs)
    @rule()
    def clear_up(self) -> None:
        self._clear_up()

    @precondition(lambda self: self.core.merges)
    @rule(data=st.data(), merged=st.booleans())
    def end_merge(self, data: st.DataObject, merged: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.core.merges, key=str)))
        heard = self.core.end_merge(name, merged=merged)
        self.core.write(heard, heard)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.names))
        self._ask(lambda connection: runs_and_tasks.pause_run(connection, run, "ada", self.core.now))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self._resume(data.draw(st.sampled_from(self.names)))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.names))
        self._ask(lambda connection: runs_and_tasks.cancel_run(connection, run, "ada"))

    @precondition(lambda self: self.core.processes)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        attempt: AttemptName = data.draw(st.sampled_from(sorted(self.core.processes)))
        self._ask(lambda connection: runs_and_tasks.stop(connection, attempt, "ada", self.core.now))

    @precondition(lambda self: self._tasks())
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self._tasks()))
        self._ask(
            lambda connection: runs_and_tasks.retry_task(
                connection, task, "ada", runs_and_tasks.AgentChoice(), self.core.now
            )
        )

    @precondition(lambda self: self._tasks())
    @rule(data=st.data())
    def retry_from_here(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self._tasks()))
        self._ask(
            lambda connection: rewind.retry_from_here(
                connection, task, "ada", runs_and_tasks.AgentChoice(), self.core.now
            )
        )

    @precondition(lambda self: self._tasks())
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self._tasks()))
        self._ask(lambda connection: runs_and_tasks.skip_task(connection, task, "ada", self.core.now))

    @precondition(lambda self: self._tasks(pb.TASK_STATE_PASSED))
    @rule(data=st.data())
    def choose(self, data: st.DataObject) -> None:
        self._choose(data.draw(st.sampled_from(self._tasks(pb.TASK_STATE_PASSED))))

    @precondition(lambda self: self.names)
    @rule(
        data=st.data(), conflicts=st.booleans(), wish=st.sampled_from(["move", "sync", "cancel", "resolve"])
    )
    def sync(self, data: st.DataObject, conflicts: bool, wish: str) -> None:
        """The project's branch moves, and operators want it taken in, or not."""
        if wish == "move":
            self.core.base.move(conflicts=conflicts)
            return
        run = data.draw(st.sampled_from(self.names))
        if wish != "resolve":
            self._ask(
                lambda connection: sync_base.sync(
                    connection, run, "ada", self.core.now, cancel=wish == "cancel"
                )
            )
        for epic in self._held(run) if wish == "resolve" else ():
            self._ask(partial(epic_merges.resolve, name=epic, agent="", actor="ada", now=self.core.now))

    @precondition(lambda self: self.names)
    @rule(data=st.data(), drawn=plans(), fitting=st.booleans(), skips=st.booleans())
    def apply_plan(self, data: st.DataObject, drawn: pb.Plan, fitting: bool, skips: bool) -> None:
        """Replaces a plan; most plans that do not fit to what has started are refused.

        With `skips`, failed tasks are skipped first; the difference is shown as if that had been done.
        """
        run = data.draw(st.sampled_from(self.names))
        before = started(self.core.engine, run)
        with self.core.engine.connect() as connection:
            current = plan_rows.read(connection, run).plan
        plan = grafted(current, drawn, {name.split("/")[0] for name in before}) if fitting else drawn

        if not rules.violations(plan):
            self.change(run, plan, skips=skips)

    def change(self, run: RunName, plan: pb.Plan, *, skips: bool) -> None:
        """Replaces a plan by a valid one, if what has started allows it."""
        before = started(self.core.engine, run)

        def apply(connection: sa.Connection) -> None:
            shown = plan_changes.compare(connection, run, plan, skips=run if skips else None)
            if skips:
                skip_failed(connection, run, "ada", self.core.now)
            found = plan_changes.compare(connection, run, plan)
            assert found.changes == shown.changes, (
                "the difference that was shown is not the one that is applied"
            )
            plan_changes.apply(connection, found, pb.ApplyPlanRequest(plan=plan), "ada", self.core.now)

        self._ask(apply)
        check_kept(before, started(self.core.engine, run), skips=skips)

    @rule()
    def change_leader(self) -> None:
        """Starts a new leader; writes of the previous one are refused."""
        before = self.core.epoch
        self.core.lead()
        with pytest.raises(HeddleError) as refused:
            self.core.write(lambda connection: connection.execute(sa.delete(tasks)), epoch=before)
        assert refused.value.reason == pb.ERROR_REASON_STALE_EPOCH

    @invariant()
    def nothing_is_broken(self) -> None:
        self.core.now += PACE
        self.core.look()
        self.core.check_branches()
        assert not self.core.violations

    def teardown(self) -> None:
        """Checks that every run ends without further commands."""
        try:
            self._settle()
            self.nothing_is_broken()
            assert not self._going_on()
            assert not self.core.processes
        finally:
            self.core.close()
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        for run in self.names:
            self._resume(run)
        # A run of nine tasks with a few attempts each needs fewer steps.
        for _ in range(200):
            self.core.now += PAUSE
            changed = bool(self.core.tick(WORKERS))
            changed |= self._clear_up()
            for epic in [each for run in self.names for each in self._held(run)]:
                changed |= self._release(epic)
            for candidate in self._tasks(pb.TASK_STATE_PASSED):
                changed |= self._choose(candidate)
            ended = [self.core.end(each, pb.OUTCOME_SUCCEEDED) for each in sorted(self.core.processes)]
            ended += [self.core.end_merge(each, merged=True) for each in list(self.core.merges)]
            if ended:
                self.core.write(*ended)
            if not (changed or ended):
                return

    def _clear_up(self) -> bool:
        """Ends what needs no decision: also attempts that were asked to stop, and those whose process is gone."""
        ended = self.core.catch_up()
        ended += [self.core.end(each, pb.OUTCOME_STOPPED) for each in sorted(self.core.stopping)]
        ended += [self.core.end(each, pb.OUTCOME_LOST) for each in sorted(self.core.lost)]
        if ended:
            self.core.write(*ended)
        return bool(ended)

    def _ask(self, work: Write) -> bool:
        """Runs an operator's command; returns False if it is refused because of the state."""
        try:
            self.core.write(work)
        except HeddleError as refused:
            if refused.reason not in _REFUSALS:
                raise
            return False
        return True

    def _resume(self, run: RunName) -> None:
        self._ask(lambda connection: runs_and_tasks.resume_run(connection, run, "ada", self.core.now))

    def _choose(self, candidate: TaskName) -> bool:
        name, number = candidate.whole, candidate.candidate
        return self._ask(
            lambda connection: candidates.choose_candidate(connection, name, "ada", number, self.core.now)
        )

    def _held(self, run: RunName) -> list[EpicName]:
        """Returns the epics that wait for a decision about a conflict with the project's branch."""
        with self.core.engine.connect() as connection:
            chosen = sa.select(epics.c.epic).where(
                epics.c.run == run.run, epics.c.sync_state == pb.SYNC_STATE_HELD
            )
            return [run.epic(each) for each in connection.execute(chosen.order_by(epics.c.epic)).scalars()]

    def _release(self, epic: EpicName) -> bool:
        """Has an epic continue without the project's branch."""
        return self._ask(
            lambda connection: sync_base.sync(connection, epic, "ada", self.core.now, cancel=True)
        )

    def _tasks(self, *states: "pb.TaskState.ValueType") -> list[TaskName]:
        """Returns the tasks and candidates in these states; without states, all."""
        with self.core.engine.connect() as connection:
            chosen = sa.select(tasks.c.run, tasks.c.epic, tasks.c.task)
            if states:
                chosen = chosen.where(tasks.c.state.in_(states))
            return sorted(TaskName(*row) for row in connection.execute(chosen))

    def _going_on(self) -> list[str]:
        with self.core.engine.connect() as connection:
            chosen = sa.select(runs.c.run).where(runs.c.state.not_in(ENDED_RUN))
            return list(connection.execute(chosen).scalars())


COMMON = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TestSchedulerCore = SchedulerCore.TestCase
TestSchedulerCore.settings = settings(COMMON, max_examples=100)


def test_core_keeps_its_invariants_on_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same commands keep the same invariants on PostgreSQL; fewer examples, because each step takes longer."""
    # A busy machine can hold up this process for longer than a replica may be silent.
    monkeypatch.setattr(engine, "SILENCE", 60_000)
    with running_postgres() as server:
        url = server.new_database("core")
        opened = open_engine(url)
        migrate(opened)
        tables = ", ".join(table.name for table in metadata.sorted_tables if table is not leadership)

        class OnPostgres(SchedulerCore):
            def empty(self) -> str:
                with opened.begin() as connection:
                    connection.exec_driver_sql(f"TRUNCATE {tables}")
                    connection.execute(sa.update(leadership).values(epoch=0))
                return url

        run_state_machine_as_test(OnPostgres, settings=settings(COMMON, max_examples=10))
        opened.dispose()
