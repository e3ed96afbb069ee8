"""Which worker a run waits for, in words."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.policy import run_waits
from scheduler_svc.policy.actions import NoteEpicWait, NoteWait
from scheduler_svc.policy.places import Places
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, WorkerView
from tests.support.scheduling import RUN, WORKER, a_run, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
ACCEPTED = pb.TASK_STATE_ACCEPTED
AWAY = (WorkerView(WORKER, 4, connected=False),)


def waits(run: RunView, *workers: WorkerView) -> list[str]:
    """Returns the reasons to record."""
    return [note.reason for note in run_waits.changed(Snapshot((run,), workers), {})]


@pytest.mark.parametrize(
    ("workers", "state", "expected"),
    [
        (AWAY, pb.RUN_STATE_RUNNING, "worker local cannot be reached; the run continues once it is back"),
        (
            (),
            pb.RUN_STATE_RUNNING,
            "worker local is no longer in the fleet; the run continues once it is added again, or cancel the run",
        ),
        (
            AWAY,
            pb.RUN_STATE_CANCELLING,
            "worker local cannot be reached; its sessions end by themselves when its lease expires, and then the run ends",
        ),
    ],
)
def test_says_which_worker_is_gone_and_what_ends_the_wait(
    workers: tuple[WorkerView, ...], state: "pb.RunState.ValueType", expected: str
) -> None:
    """A run whose worker is away or removed says so once, and says how a cancellation ends."""
    run = a_run(an_epic("a", PENDING), state=state)
    assert waits(run, *workers) == [expected]
    assert waits(replace(run, waits_for=expected), *workers) == []


def test_a_run_that_waits_for_no_worker_forgets_the_reason() -> None:
    """Once the worker is back, the reason is cleared; a full worker is reachable."""
    back = WorkerView(WORKER, 4, full=True)
    run = a_run(an_epic("a", PENDING), waits_for="worker local cannot be reached")
    assert list(run_waits.changed(Snapshot((run,), (back,)), {})) == [NoteWait(RUN, "")]
    assert waits(a_run(an_epic("a", PENDING)), back) == []


@pytest.mark.parametrize(
    ("epics", "state", "drained"),
    [
        ([an_epic("a", PENDING), an_epic("b", RUNNING)], pb.RUN_STATE_RUNNING, True),
        ([an_epic("b", RUNNING), an_epic("a", ACCEPTED, PENDING)], pb.RUN_STATE_RUNNING, True),
        # What runs there may end, and nothing else starts.
        ([an_epic("a", RUNNING), an_epic("b", ACCEPTED)], pb.RUN_STATE_RUNNING, False),
        ([an_epic("a", PENDING)], pb.RUN_STATE_CANCELLING, False),
    ],
)
def test_a_drained_worker_is_a_reason_while_tasks_could_start(
    epics: list[EpicView], state: "pb.RunState.ValueType", drained: bool
) -> None:
    """A run on a drained worker says how to end that; a run without pending tasks, or one that ends, has no reason."""
    reason = "worker local is drained, so no task starts; `heddle workers undrain local` ends that"
    worker = WorkerView(WORKER, 4, draining=True)
    assert waits(a_run(*epics, state=state), worker) == ([reason] if drained else [])
    assert waits(a_run(*epics, state=state), replace(worker, draining=False)) == []


HOME_AWAY = (WorkerView("w1", 1, connected=False), WorkerView("w2", 1))


def moving(key: str, *states: "pb.TaskState.ValueType", worker: str = "w2", **changes: Any) -> EpicView:
    return an_epic(key, *states, moves=True, worker=worker, **changes)


@pytest.mark.parametrize(
    ("epics", "expected"),
    [
        # At work elsewhere: the home is not needed now.
        ([moving("a", ACCEPTED, RUNNING)], False),
        ([moving("a", RUNNING), moving("b", ACCEPTED)], True),
        ([moving("a", RUNNING), moving("b", RUNNING, merging=True)], True),
        # Ended epics need no worker, whatever their tasks are.
        ([moving("a", PENDING, worker="w1", state=pb.EPIC_STATE_SKIPPED)], False),
        ([moving("a", ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED)], False),
    ],
)
def test_a_home_that_is_away_is_a_reason_only_for_merges(epics: list[EpicView], expected: bool) -> None:
    """Epics that work elsewhere do not wait for the run's home; one that is merged, or whose tasks have ended, does."""
    reason = "worker w1 cannot be reached; the run's merges continue once it is back"
    run = a_run(*epics, placed=True, worker="w1")
    assert waits(run, *HOME_AWAY) == ([reason] if expected else [])


def test_one_task_is_enough_to_need_the_place() -> None:
    """An epic whose place is away waits for it if any of its tasks runs there or could start."""
    reason = "worker w1 cannot be reached; when its lease expires, its epics continue on other workers"
    for states in ((ACCEPTED, PENDING), (ACCEPTED, RUNNING)):
        run = a_run(moving("a", *states, worker="w1"), placed=True, worker="w2")
        assert waits(run, *HOME_AWAY) == [reason]


NOT_OFFERED = "waiting for a place: no worker offers the labels gpu=true"
READY, STARTED = pb.EPIC_STATE_READY, pb.EPIC_STATE_RUNNING


@pytest.mark.parametrize(
    ("run_state", "epic", "expected"),
    [
        (pb.RUN_STATE_PENDING, {"state": READY}, NOT_OFFERED),
        (pb.RUN_STATE_RUNNING, {"state": STARTED}, NOT_OFFERED),
        (pb.RUN_STATE_PAUSED, {"state": READY}, ""),
        (pb.RUN_STATE_RUNNING, {"state": pb.EPIC_STATE_BLOCKED}, ""),
        (pb.RUN_STATE_RUNNING, {"state": STARTED, "merging": True}, ""),
        (pb.RUN_STATE_RUNNING, {"state": STARTED, "moves": False}, ""),
    ],
)
def test_an_epic_that_could_start_says_that_no_worker_can_take_it(
    run_state: "pb.RunState.ValueType", epic: dict[str, Any], expected: str
) -> None:
    """Only an epic that moves, neither works nor merges, and whose run goes on, lacks a place."""
    gpu = moving("a", PENDING, worker="", labels=frozenset({("gpu", "true")}))
    fixed = a_run(an_epic("a", PENDING, waits_for="stays as it is"))
    placed = a_run(replace(gpu, waits_for="old", **epic), placed=True, state=run_state)
    fleet = (WorkerView("w1", 1),)
    notes = list(run_waits.changed_epics(Snapshot((fixed, placed), fleet), Places(fleet, frozenset())))
    assert notes == [NoteEpicWait(gpu.name, expected)]
