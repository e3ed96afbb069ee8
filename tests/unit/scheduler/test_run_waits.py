"""Which worker a run waits for, in words."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy import run_waits
from scheduler_svc.policy.actions import NoteWait
from scheduler_svc.policy.snapshot import RunView, Snapshot, WorkerView
from tests.support.scheduling import RUN, WORKER, a_run, an_epic

PENDING = pb.TASK_STATE_PENDING
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
