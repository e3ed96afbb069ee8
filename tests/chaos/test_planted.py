"""The checks work: each planted bug is reported."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from heddle import pb
from scheduler_svc.commands.decisions import apply_action
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import AttemptStatus, TaskStatus
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import Action, StartTask
from scheduler_svc.policy.snapshot import Snapshot
from scheduler_svc.store.db import statements, tables
from scheduler_svc.store.outcomes import attempt_outcomes
from tests.chaos import core
from tests.chaos.test_stateful import SchedulerCore

# Shrinking the first failing example, or searching for others, would only take time. Few examples a
# seed, because the first of many would be small ones.
SETTINGS = settings(
    SchedulerCore.TestCase.settings,
    phases=[Phase.generate],
    max_examples=8,
    stateful_step_count=40,
    derandomize=False,
    report_multiple_bugs=False,
    database=None,
    deadline=None,
)


def without_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "check_epoch", lambda _connection, _epoch: None)


def accepting_twice(patch: pytest.MonkeyPatch) -> None:
    every = sa.select(*statements.LIVE_ATTEMPT.selected_columns).where(*statements.this(tables.attempts))
    patch.setattr(attempt_outcomes, "LIVE_ATTEMPT", every)
    keys = (tables.attempts, tables.tasks, tables.runs)
    conditions = [condition for table in keys for condition in statements.this(table)]
    accepting = sa.select(*statements.ACCEPTING.selected_columns).where(*conditions)
    patch.setattr(attempt_outcomes, "ACCEPTING", accepting)
    # The table of moves would refuse it as well.
    of_task = frozenset(map(TaskStatus, pb.TaskState.values()))
    of_attempt = frozenset(map(AttemptStatus, pb.AttemptState.values()))
    patch.setattr(transitions, "TASK_ACCEPT", replace(transitions.TASK_ACCEPT, sources=of_task))
    ends = {state: replace(move, sources=of_attempt) for state, move in transitions.ATTEMPT_END.items()}
    patch.setattr(transitions, "ATTEMPT_END", ends)


def ignoring_order(patch: pytest.MonkeyPatch) -> None:
    def decide(snapshot: Snapshot) -> list[Action]:
        turned = [
            replace(run, epics=tuple(replace(epic, tasks=epic.tasks[::-1]) for epic in run.epics))
            for run in snapshot.runs
        ]
        return decided(replace(snapshot, runs=tuple(turned)))

    decided = decision.decide
    patch.setattr(decision, "decide", decide)


def ignoring_pause(patch: pytest.MonkeyPatch) -> None:
    started = apply_action.EFFECTS[StartTask]

    def start(connection: sa.Connection, action: StartTask, now: int) -> bool:
        paused = sa.text("UPDATE runs SET state = :running WHERE state = :paused AND run = :run")
        states = {"running": pb.RUN_STATE_RUNNING, "paused": pb.RUN_STATE_PAUSED, "run": action.attempt.run}
        connection.execute(paused, states)
        return started(connection, action, now)

    def decide(snapshot: Snapshot) -> list[Action]:
        going = {pb.RUN_STATE_PAUSED: pb.RUN_STATE_RUNNING}
        runs = tuple(replace(run, state=going.get(run.state, run.state)) for run in snapshot.runs)
        return decided(replace(snapshot, runs=runs))

    decided = decision.decide
    patch.setattr(decision, "decide", decide)
    patch.setitem(apply_action.EFFECTS, StartTask, start)


@pytest.mark.parametrize(
    ("plant", "named", "first"),
    [
        (without_epoch, "DID NOT RAISE", 1),
        # A draft that ends twice gets another round, which never ends.
        (accepting_twice, "accepted twice|ends without being live|_going_on", 2),
        (ignoring_order, "starts before", 1),
        (ignoring_pause, "in a run that is paused", 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], named: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The property test fails for a scheduler that violates one invariant, and says which.

    `first` is the seed that finds it soonest; any other finds it later.
    """
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=named):
        search(first)


def search(first: int) -> None:
    for number in range(first, first + 25):
        seeded = seed(number)(type("Seeded", (SchedulerCore,), {}))
        run_state_machine_as_test(seeded, settings=SETTINGS)
