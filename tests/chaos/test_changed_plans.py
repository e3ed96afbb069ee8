"""Changing the plan of a run at any moment keeps what has started, and loses no accepted task."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.names import RunName
from scheduler_svc.commands.plans import plan_changes, skip_failed
from scheduler_svc.store.db import tables
from scheduler_svc.store.queries import plan_progress
from scheduler_svc.store.rows import plans as plan_rows
from scheduler_svc.store.rows import tasks as task_rows
from tests.chaos.core import Core
from tests.chaos.plan_edits import edited, plans
from tests.chaos.test_stateful import PACE, WORKERS, SchedulerCore, empty_database

RUN = RunName("run0")

OUTCOMES = st.sampled_from([pb.OUTCOME_SUCCEEDED, pb.OUTCOME_SUCCEEDED, pb.OUTCOME_FAILED, pb.OUTCOME_FAILED])

COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Machine(SchedulerCore):
    """One run, driven to a moment without the rules of other commands."""

    def until(self, data: st.DataObject) -> None:
        """Lets the run continue for some steps, in which sessions and merges end in any way."""
        for _ in range(data.draw(st.integers(0, 6), label="steps")):
            self.core.now += PACE * 3_600
            self.core.tick(WORKERS)
            self._clear_up()
            for attempt in sorted(self.core.processes):
                if data.draw(st.booleans(), label=f"{attempt} ends"):
                    self.core.write(self.core.end(attempt, data.draw(OUTCOMES)))
            for name in list(self.core.merges):
                self.core.write(self.core.end_merge(name, merged=data.draw(st.booleans())))


def change_at_a_moment(plan: pb.Plan, data: st.DataObject, skips: bool) -> None:
    machine = Machine()
    try:
        machine.core.create(RUN, plan, "one", 2)
        machine.names.append(RUN)
        machine.until(data)
        with machine.core.engine.connect() as connection:
            current = plan_rows.read(connection, RUN).plan
        new = data.draw(edited(current), label="new plan")
        machine.change(RUN, new, skips=skips)
        machine.until(data)
        machine.nothing_is_broken()
    finally:
        # Checks that the run ends.
        machine.teardown()


@settings(COMMON, max_examples=25)
@given(plans(), st.data(), st.booleans())
def test_a_plan_changes_at_any_moment(plan: pb.Plan, data: st.DataObject, skips: bool) -> None:
    """What has started stays as it is, what was shown is applied, and the run still ends."""
    change_at_a_moment(plan, data, skips)


@settings(COMMON, max_examples=20)
@given(plans(), plans())
def test_a_changed_plan_of_which_nothing_has_started_is_a_new_run(before: pb.Plan, after: pb.Plan) -> None:
    """The rows of its epics and tasks are those of a new run of the new plan."""
    compare_with_a_new_run(before, after)


def compare_with_a_new_run(before: pb.Plan, after: pb.Plan) -> None:
    with tempfile.TemporaryDirectory(prefix="heddle-core-") as folder:
        (Path(folder) / "heddle.db").write_bytes(empty_database())
        core = Core(f"sqlite:///{folder}/heddle.db")
        changed, new = RunName("changed"), RunName("new")
        core.create(changed, before, "one", 2)
        core.create(new, after, "one", 2)

        def apply(connection: sa.Connection) -> None:
            found = plan_changes.compare(connection, changed, after)
            plan_changes.apply(connection, found, pb.ApplyPlanRequest(plan=after), "ada", core.now)

        core.write(apply)
        with core.engine.connect() as connection:
            for table in (tables.epics, tables.tasks):
                rows = [
                    sorted(
                        tuple(value for name, value in row._asdict().items() if name != "run")
                        for row in connection.execute(sa.select(table).where(table.c.run == run.run))
                    )
                    for run in (changed, new)
                ]
                assert rows[0] == rows[1], "the changed run differs from a new one"
        core.close()
        assert not core.violations


def changing_what_has_started(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan_progress, "_locked", lambda _task: "")
    patch.setattr(task_rows, "change_unstarted", task_rows.try_change)


def forgetting_what_did_not_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(skip_failed, "_put_back", lambda *_: None)


class Script:
    """Draws what a test says, in place of Hypothesis."""

    def __init__(self, *drawn: object) -> None:
        self._drawn = list(drawn)

    def draw(self, _strategy: object, label: str = "") -> Any:
        return self._drawn.pop(0)


def two_epics(prompt: str = "Go", later: str = "Go") -> pb.Plan:
    """A plan whose second epic waits for the first, with the prompts of their tasks."""
    plan = pb.Plan(name="Any", defaults=pb.TaskDefaults(agent="scripted"))
    first = plan.epics.add(key="e0", on_failure=pb.ON_FAILURE_STOP_EPIC)
    first.tasks.add(key="t0", prompt=prompt)
    plan.epics.add(key="e1", depends_on=["e0"]).tasks.add(key="t0", prompt=later)
    return plan


RUNS = Script(1, False, two_epics("Other"))
# The first task fails, and the second epic does not run.
FAILS = (3, True, pb.OUTCOME_FAILED, two_epics(later="Other"), 0)


@pytest.mark.parametrize(
    ("plant", "moment", "named"),
    [
        (changing_what_has_started, RUNS, "which has started"),
        (forgetting_what_did_not_run, Script(*FAILS), "the difference that was shown"),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    moment: st.DataObject,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The property fails for a scheduler that changes what has started, or shows another difference than it applies."""
    change_at_a_moment(two_epics(), cast(st.DataObject, Script(*FAILS)), skips=True)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=named):
        change_at_a_moment(two_epics(), moment, skips=True)


def test_a_field_that_is_not_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with a new run fails if a changed prompt is not stored."""
    monkeypatch.setattr(
        plan_changes, "_columns", lambda fields: [each for each in fields if each != "prompt"]
    )
    with pytest.raises(AssertionError, match="differs from a new one"):
        compare_with_a_new_run(two_epics(), two_epics(later="Other"))
