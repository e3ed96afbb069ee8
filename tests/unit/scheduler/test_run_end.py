"""Why epics do not continue, when a run ends, and what its reason says."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.policy.actions import Action, FinishEpic, FinishRun, MergeRun, SkipTask, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.epic_end import Cause, closed, plural
from scheduler_svc.policy.snapshot import EpicView
from tests.support.scheduling import RUN, a_run, a_snapshot, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
ACCEPTED = pb.TASK_STATE_ACCEPTED
FAILED = pb.TASK_STATE_FAILED
SKIPPED = pb.TASK_STATE_SKIPPED


def done(key: str, **changes: Any) -> EpicView:
    """Returns an epic that has succeeded."""
    return replace(an_epic(key, ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED, merged=True), **changes)


def skips(actions: list[Action]) -> dict[str, str]:
    """Returns the reason of each task that is skipped, by EPIC/TASK."""
    return {
        f"{each.task.epic}/{each.task.task}": each.reason for each in actions if isinstance(each, SkipTask)
    }


def test_a_failed_setup_ends_its_epic() -> None:
    """Its pending tasks are skipped with that reason, and it starts none; other epics continue."""
    broken = an_epic("a", PENDING, PENDING, state=pb.EPIC_STATE_RUNNING, setup_failure="make: no rule")
    actions = decide(a_snapshot(a_run(broken, an_epic("b", PENDING))))
    reason = "the setup of its worktree failed"
    assert skips(actions) == {"a/t1": reason, "a/t2": reason}
    assert [each.attempt.epic for each in actions if isinstance(each, StartTask)] == ["b"]
    [end] = [each for each in actions if isinstance(each, FinishEpic)]
    assert (end.state, end.reason) == (pb.EPIC_STATE_FAILED, "make: no rule")


@pytest.mark.parametrize(
    ("on_failure", "reason"),
    [
        (pb.ON_FAILURE_STOP_EPIC, "task t2 failed, which stops the epic"),
        (pb.ON_FAILURE_STOP_RUN, "task t2 of epic a failed, which stops the run"),
    ],
)
def test_a_reason_names_the_task_that_failed(on_failure: "pb.OnFailure.ValueType", reason: str) -> None:
    """The first failed task is the cause, not one that was accepted before it."""
    epic = an_epic("a", ACCEPTED, FAILED, FAILED, PENDING, on_failure=on_failure, state=pb.EPIC_STATE_RUNNING)
    assert skips(decide(a_snapshot(a_run(epic)))) == {"a/t4": reason}


def test_a_reason_names_the_first_dependency_that_was_lost() -> None:
    """Only blocked epics below a lost one are skipped; one whose dependency may still be merged waits."""
    run = a_run(
        an_epic("x", FAILED, state=pb.EPIC_STATE_FAILED),
        an_epic("y", FAILED, state=pb.EPIC_STATE_FAILED),
        an_epic("z", RUNNING, state=pb.EPIC_STATE_RUNNING),
        an_epic("a", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("z", "x", "y")),
        an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("z",)),
        # It started while x was merged; x was reopened and failed later.
        an_epic("c", PENDING, state=pb.EPIC_STATE_RUNNING, depends_on=("x",)),
    )
    actions = decide(a_snapshot(run))
    assert skips(actions) == {"a/t1": "epic x, which it depends on, was not merged"}
    assert [each.attempt.epic for each in actions if isinstance(each, StartTask)] == ["c"]


@pytest.mark.parametrize("changes", [{"merging": True}, {"tasks": (a_task("t1", RUNNING, epic="b"),)}])
def test_a_run_stays_open_while_an_ended_epic_is_busy(changes: dict[str, Any]) -> None:
    """A merge that is in progress and a session that has not ended keep the run open."""
    assert decide(a_snapshot(a_run(done("a"), done("b", **changes)))) == []
    assert decide(a_snapshot(a_run(done("a"), done("b")))) == [FinishRun(RUN, pb.RUN_STATE_SUCCEEDED)]


def test_one_merged_epic_is_enough_for_the_users_branch() -> None:
    """If the others were dropped, the branch is still merged; without a merged epic there is nothing to merge."""
    dropped = an_epic("b", ACCEPTED, state=pb.EPIC_STATE_DROPPED)
    assert decide(a_snapshot(a_run(done("a"), dropped, merge_into="main"))) == [MergeRun(RUN)]
    assert decide(a_snapshot(a_run(dropped, merge_into="main"))) == [FinishRun(RUN, pb.RUN_STATE_SUCCEEDED)]


@pytest.mark.parametrize(("merge_into", "branch"), [("", "heddle/r/merged"), ("main", "main")])
def test_a_branch_that_the_remote_refuses_fails_its_run(merge_into: str, branch: str) -> None:
    """The reason names the branch, the project, the remote's words, and the command that tries again."""
    run = a_run(
        done("a"), merge_into=merge_into, merged_into=True, project="/p", unpushed="..it is protected."
    )
    [end] = decide(a_snapshot(run))
    assert isinstance(end, FinishRun)
    assert end.state == pb.RUN_STATE_FAILED
    assert end.reason == (
        f"{branch} did not reach /p, whose remote refuses it: ..it is protected. All work is done"
        " and kept in the worker's clone; `heddle push r` tries again"
    )


@pytest.mark.parametrize(
    ("cancelled", "reason"),
    [
        (2, "2 of 6 epics cancelled (e0, e1)"),
        (3, "3 of 6 epics cancelled (e0, e1, e2)"),
        (4, "4 of 6 epics cancelled (e0, e1, e2, …)"),
        (5, "5 of 6 epics cancelled (e0, e1, e2, …)"),
    ],
)
def test_a_reason_names_three_epics(cancelled: int, reason: str) -> None:
    """The epics that did not succeed are counted by state; of more than three, the first three are named."""
    states = [pb.EPIC_STATE_CANCELLED] * cancelled + [pb.EPIC_STATE_SUCCEEDED] * (6 - cancelled)
    run = a_run(*(an_epic(f"e{place}", state=state, merged=True) for place, state in enumerate(states)))
    assert decide(a_snapshot(run)) == [FinishRun(RUN, pb.RUN_STATE_FAILED, reason)]


SKIPPED_BY_OPERATOR = a_task("t9", SKIPPED, waived=True)
CANCELLED = Cause("the run was cancelled", cancelled=True, stops=True)
STOPPED = Cause("task t2 failed, which stops the epic")


@pytest.mark.parametrize(
    ("epic", "cause", "state", "reason"),
    [
        (an_epic("a"), None, pb.EPIC_STATE_SKIPPED, "all of its tasks were skipped"),
        (
            an_epic("a", tasks=(SKIPPED_BY_OPERATOR,)),
            None,
            pb.EPIC_STATE_SKIPPED,
            "all of its tasks were skipped",
        ),
        (an_epic("a", SKIPPED), None, pb.EPIC_STATE_SKIPPED, "none of its tasks was to run"),
        (an_epic("a", SKIPPED), STOPPED, pb.EPIC_STATE_SKIPPED, STOPPED.reason),
        (an_epic("a", SKIPPED), CANCELLED, pb.EPIC_STATE_SKIPPED, CANCELLED.reason),
        (an_epic("a", ACCEPTED, SKIPPED), CANCELLED, pb.EPIC_STATE_CANCELLED, CANCELLED.reason),
        (
            an_epic("a", ACCEPTED, SKIPPED, setup_failure="no make"),
            CANCELLED,
            pb.EPIC_STATE_CANCELLED,
            CANCELLED.reason,
        ),
        (
            an_epic("a", ACCEPTED, SKIPPED, setup_failure="no make"),
            STOPPED,
            pb.EPIC_STATE_FAILED,
            "no make",
        ),
        (
            an_epic("a", ACCEPTED, FAILED, SKIPPED, SKIPPED),
            STOPPED,
            pb.EPIC_STATE_FAILED,
            "1 of 4 tasks failed; 2 of 4 tasks did not run",
        ),
        (
            an_epic("a", ACCEPTED, SKIPPED),
            STOPPED,
            pb.EPIC_STATE_FAILED,
            f"1 of 2 tasks did not run; {STOPPED.reason}",
        ),
        (
            an_epic("a", ACCEPTED, rewinds=True),
            None,
            pb.EPIC_STATE_FAILED,
            "its branch still holds what was set aside: retry a task of it",
        ),
    ],
)
def test_how_an_epic_without_a_merge_ends(
    epic: EpicView, cause: Cause | None, state: "pb.EpicState.ValueType", reason: str
) -> None:
    """The state says whether anything ran; the reason counts tasks, and names the cause if no task failed."""
    assert [*closed(epic, cause, connected=True)] == [FinishEpic(epic.name, state, reason)]


def test_one_is_not_plural() -> None:
    """Only a count of one has the singular."""
    assert [plural(count, "task") for count in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_a_stopped_epic_lets_its_session_end() -> None:
    """Only a cause for the whole run stops a session; the epic's other tasks are skipped meanwhile."""
    epic = an_epic("a", FAILED, RUNNING, PENDING, on_failure=pb.ON_FAILURE_STOP_EPIC)
    actions = decide(a_snapshot(a_run(replace(epic, state=pb.EPIC_STATE_RUNNING))))
    assert [type(action) for action in actions] == [SkipTask]
    assert skips(actions) == {"a/t3": "task t1 failed, which stops the epic"}
