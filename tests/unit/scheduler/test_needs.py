"""Tasks that need tasks of other epics, as the policy sees them."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy.actions import FailTask, FinishEpic, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.needs import Needs
from scheduler_svc.policy.snapshot import RunView
from tests.support.scheduling import RUN, a_run, a_snapshot, an_epic

NEEDED = RUN.epic("a").task("t1")
TASK = RUN.epic("b").task("t1")


def needing(state: "pb.TaskState.ValueType", *, waived: bool = False) -> RunView:
    """Returns a run in which task t1 of epic b needs that of epic a, which is in this state."""
    a, b = an_epic("a", state), an_epic("b", pb.TASK_STATE_PENDING)
    needed = replace(a.tasks[0], waived=waived)
    needing = replace(b.tasks[0], needs=(NEEDED,))
    return a_run(replace(a, tasks=(needed,)), replace(b, tasks=(needing, *b.tasks[1:])))


@pytest.mark.parametrize(
    ("state", "waived", "met", "lost"),
    [
        (pb.TASK_STATE_PENDING, False, False, False),
        (pb.TASK_STATE_RUNNING, False, False, False),
        (pb.TASK_STATE_WAITING, False, False, False),
        (pb.TASK_STATE_ACCEPTED, False, True, False),
        (pb.TASK_STATE_FAILED, False, False, True),
        (pb.TASK_STATE_SKIPPED, False, False, True),
        (pb.TASK_STATE_SKIPPED, True, True, False),
    ],
)
def test_a_need_is_met_by_acceptance(
    state: "pb.TaskState.ValueType", waived: bool, met: bool, lost: bool
) -> None:
    """A task that the operator skipped counts as accepted; one that failed or did not run is lost."""
    run = needing(state, waived=waived)
    needs = Needs(run)
    task = run.epics[1].tasks[0]
    assert (needs.exist, needs.met(task)) == (True, met)
    assert needs.lost(task) == (NEEDED if lost else None)


def test_a_missing_task_is_lost() -> None:
    """A need of a task that no longer exists would never be met."""
    run = needing(pb.TASK_STATE_PENDING)
    alone = replace(run, epics=run.epics[1:])
    assert Needs(alone).lost(run.epics[1].tasks[0]) == NEEDED
    assert not Needs(replace(run, epics=run.epics[:1])).exist


def test_a_task_starts_once_its_needs_are_met() -> None:
    """Until then only the needed task runs."""
    waiting = decide(a_snapshot(needing(pb.TASK_STATE_PENDING)))
    assert [each.attempt.parent for each in waiting if isinstance(each, StartTask)] == [NEEDED]
    ready = decide(a_snapshot(needing(pb.TASK_STATE_ACCEPTED)))
    assert [each.attempt.parent for each in ready if isinstance(each, StartTask)] == [TASK]


def test_a_task_whose_need_is_lost_fails_with_the_reason() -> None:
    """It does not start, and its epic is not closed in the same decision."""
    actions = decide(a_snapshot(needing(pb.TASK_STATE_FAILED)))
    assert [each for each in actions if isinstance(each, FailTask)] == [
        FailTask(TASK, "a/t1, which it needs, was not accepted")
    ]
    assert not [each for each in actions if isinstance(each, StartTask)]
    assert [each.epic.epic for each in actions if isinstance(each, FinishEpic)] == ["a"]


@pytest.mark.parametrize("change", ["cancelling", "busy", "ended"])
def test_only_the_next_task_of_an_epic_that_continues_fails(change: str) -> None:
    """A cancelled run, an epic that works on another task, and an ended epic are left alone."""
    run = needing(pb.TASK_STATE_FAILED)
    a, b = run.epics
    match change:
        case "cancelling":
            run = replace(run, state=pb.RUN_STATE_CANCELLING)
        case "busy":
            busy = an_epic("b", pb.TASK_STATE_RUNNING, pb.TASK_STATE_PENDING)
            later = replace(busy.tasks[1], needs=(NEEDED,))
            run = replace(run, epics=(a, replace(busy, tasks=(busy.tasks[0], later))))
        case "ended":
            run = replace(run, epics=(a, replace(b, state=pb.EPIC_STATE_SKIPPED)))
    assert not [each for each in decide(a_snapshot(run)) if isinstance(each, FailTask)]


def test_the_epic_with_the_longest_chain_through_needs_comes_first() -> None:
    """An epic whose next task others need has more work ahead than a longer epic that others do not need."""
    a = an_epic("a", pb.TASK_STATE_PENDING)
    b = an_epic("b", *[pb.TASK_STATE_PENDING] * 4)
    c = an_epic("c", pb.TASK_STATE_PENDING, pb.TASK_STATE_PENDING)
    long = replace(b, tasks=(replace(b.tasks[0], needs=(NEEDED,)), *b.tasks[1:]))
    actions = decide(a_snapshot(a_run(c, a, long), slots=1))
    assert [each.attempt.parent for each in actions if isinstance(each, StartTask)] == [NEEDED]
