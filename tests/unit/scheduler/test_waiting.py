"""What epics wait for, as the metrics count it."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.policy.snapshot import ProviderView, Snapshot
from scheduler_svc.policy.waiting import REASONS, waiting
from tests.support.scheduling import a_run, a_snapshot, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
WAITING = pb.TASK_STATE_WAITING
ACCEPTED = pb.TASK_STATE_ACCEPTED


def reasons(snapshot: Snapshot) -> dict[str, int]:
    found = waiting(snapshot)
    assert list(found) == list(REASONS)
    return {reason: count for reason, count in found.items() if count}


@pytest.mark.parametrize(
    ("epic", "run", "expected"),
    [
        (an_epic("a", RUNNING), {}, {}),
        (an_epic("a", ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED), {}, {}),
        (an_epic("a", WAITING), {"state": pb.RUN_STATE_PAUSED}, {"question": 1}),
        (an_epic("a", ACCEPTED, state=pb.EPIC_STATE_AWAITING_MERGE), {}, {"manual_merge": 1}),
        (an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, merging=True), {}, {"merge": 1}),
        (an_epic("a", PENDING), {"state": pb.RUN_STATE_PAUSED, "faulty": True}, {"paused": 1}),
        (an_epic("a", PENDING), {"faulty": True}, {"environment": 1}),
        (an_epic("a", PENDING, state=pb.EPIC_STATE_BLOCKED), {}, {"dependency": 1}),
        (an_epic("a", tasks=(a_task("t1", paced=True),)), {}, {"retry_delay": 1}),
        (an_epic("a", PENDING), {"worker": "gone"}, {"worker": 1}),
        (an_epic("a", PENDING), {"max_parallel": 0}, {"max_parallel": 1}),
        (an_epic("a", PENDING), {}, {"slot": 1}),
    ],
)
def test_the_first_reason_that_applies_counts(
    epic: Any, run: dict[str, Any], expected: dict[str, int]
) -> None:
    """Each epic that is not at work and has not ended counts once, for what it waits for."""
    assert reasons(a_snapshot(a_run(epic, **run))) == expected


def test_a_held_provider_is_a_reason_for_its_tasks_only() -> None:
    """An epic waits for the provider of its next task if that one is held; one that is tried again is not held."""
    of_held, of_tried = (an_epic(each, tasks=(a_task("t1", provider=each),)) for each in ("x", "y"))
    snapshot = a_snapshot(a_run(of_held, of_held, of_tried))
    providers = (ProviderView("x", held=True), ProviderView("y", held=False, tried=True))
    assert reasons(replace(snapshot, providers=providers)) == {"provider": 2, "slot": 1}


def test_every_epic_is_looked_at() -> None:
    """An epic that has ended hides none of those after it, and a question counts next to tasks that do not ask."""
    ended = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED)
    asks = an_epic("b", ACCEPTED, WAITING, PENDING)
    assert reasons(a_snapshot(a_run(ended, asks, an_epic("c", PENDING)))) == {"question": 1, "slot": 1}


def test_sessions_of_a_run_use_up_its_width() -> None:
    """An epic waits for max_parallel as soon as its run has that many sessions, and not one fewer."""
    epics = [an_epic("a", RUNNING), an_epic("b", RUNNING), an_epic("c", PENDING)]
    assert reasons(a_snapshot(a_run(*epics, max_parallel=2))) == {"max_parallel": 1}
    assert reasons(a_snapshot(a_run(*epics, max_parallel=3))) == {"slot": 1}
