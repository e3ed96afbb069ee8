"""How epics and runs end."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy.actions import (
    AwaitMerge,
    FinishEpic,
    FinishRun,
    MergeEpic,
    MergeRun,
    ResolveConflict,
    SkipTask,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.decision import MAX_LOSSES, decide, should_retry
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView, Snapshot, WorkerView
from tests.support.scheduling import RUN, a_run, a_snapshot, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
ACCEPTED = pb.TASK_STATE_ACCEPTED
FAILED = pb.TASK_STATE_FAILED
SKIPPED = pb.TASK_STATE_SKIPPED

STOP_EPIC = pb.ON_FAILURE_STOP_EPIC
STOP_RUN = pb.ON_FAILURE_STOP_RUN


def done(key: str) -> EpicView:
    """Returns an epic that has succeeded."""
    return an_epic(key, ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED, merged=True)


def ending(board: Board) -> dict[str, tuple["pb.EpicState.ValueType", str]]:
    """Settles a board on which every merge succeeds; returns the state and reason of each epic that ends."""
    ended = {}
    while actions := board.settle():
        for action in actions:
            if isinstance(action, FinishEpic):
                ended[action.epic.epic] = (action.state, action.reason)
            if isinstance(action, MergeEpic):
                board.end_merge(action.epic, merged=True)
    return ended


def test_merges_an_epic_whose_tasks_are_all_accepted() -> None:
    """The epic is merged before it ends."""
    epic = an_epic("a", ACCEPTED, ACCEPTED, state=pb.EPIC_STATE_RUNNING)
    assert decide(a_snapshot(a_run(epic))) == [MergeEpic(epic.name)]


def test_waits_for_a_merge_that_is_under_way() -> None:
    """A merge is requested only once."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, merging=True)
    assert decide(a_snapshot(a_run(epic))) == []


def test_does_not_merge_while_the_worker_is_away() -> None:
    """A merge needs the worker that has the repository."""
    run = a_run(an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING), worker="away")
    away = Snapshot((run,), (WorkerView("away", 1, connected=False),))
    assert not any(isinstance(action, MergeEpic) for action in decide(away))


def test_finishes_a_merged_epic() -> None:
    """An epic whose tasks are all accepted succeeds once it is merged."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, merged=True)
    assert decide(a_snapshot(a_run(epic))) == [FinishEpic(epic.name, pb.EPIC_STATE_SUCCEEDED)]


def test_goes_on_after_a_failure_and_merges_the_rest() -> None:
    """on_failure continue: later tasks run, accepted work is merged, and the epic fails."""
    run = a_run(an_epic("a", ACCEPTED, FAILED, PENDING))
    [start] = decide(a_snapshot(run))
    assert isinstance(start, StartTask)
    board = Board(a_snapshot(run))
    board.settle()
    board.end_attempt(start.attempt.parent, FAILED)
    assert ending(board) == {"a": (pb.EPIC_STATE_FAILED, "2 of 3 tasks failed")}
    assert board.epic(run.epics[0].name).merged


def test_fails_an_epic_that_has_nothing_to_merge() -> None:
    """An epic without an accepted task fails without a merge."""
    epic = an_epic("a", FAILED, state=pb.EPIC_STATE_RUNNING)
    assert decide(a_snapshot(a_run(epic))) == [
        FinishEpic(epic.name, pb.EPIC_STATE_FAILED, "1 of 1 task failed")
    ]


def test_stop_epic_skips_the_rest_and_merges_nothing() -> None:
    """on_failure stop_epic: remaining tasks are skipped; other epics are unaffected."""
    stopping = an_epic("a", ACCEPTED, FAILED, PENDING, on_failure=STOP_EPIC, state=pb.EPIC_STATE_RUNNING)
    other = an_epic("b", RUNNING, PENDING, state=pb.EPIC_STATE_RUNNING)
    actions = decide(a_snapshot(a_run(stopping, other)))
    assert [type(action) for action in actions] == [SkipTask, FinishEpic]
    assert actions[1] == FinishEpic(
        stopping.name, pb.EPIC_STATE_FAILED, "1 of 3 tasks failed; 1 of 3 tasks did not run"
    )


def test_stop_run_stops_every_epic() -> None:
    """on_failure stop_run: live sessions stop, pending tasks are skipped, and the run fails."""
    run = a_run(
        an_epic("a", FAILED, PENDING, on_failure=STOP_RUN, state=pb.EPIC_STATE_RUNNING),
        an_epic("b", RUNNING, PENDING, state=pb.EPIC_STATE_RUNNING),
        an_epic("c", PENDING),
        an_epic("d", ACCEPTED, PENDING, state=pb.EPIC_STATE_RUNNING),
    )
    board = Board(a_snapshot(run))
    actions = board.settle()
    assert [action.attempt.epic for action in actions if isinstance(action, StopAttempt)] == ["b"]
    assert not any(isinstance(action, StartTask | MergeEpic) for action in actions)
    board.end_attempt(run.epics[1].tasks[0].name, FAILED)
    board.settle()
    states = {epic.name.epic: epic.state for epic in board.runs[RUN].epics}
    assert states == {
        "a": pb.EPIC_STATE_FAILED,
        "b": pb.EPIC_STATE_FAILED,
        "c": pb.EPIC_STATE_SKIPPED,
        "d": pb.EPIC_STATE_FAILED,
    }
    assert board.ended[RUN].state == pb.RUN_STATE_FAILED


def test_stop_run_still_merges_an_epic_that_is_complete() -> None:
    """Accepted work of an epic without remaining tasks is kept."""
    complete = an_epic("b", ACCEPTED, state=pb.EPIC_STATE_RUNNING)
    failed = an_epic("a", FAILED, on_failure=STOP_RUN, state=pb.EPIC_STATE_FAILED)
    assert decide(a_snapshot(a_run(failed, complete))) == [MergeEpic(complete.name)]


def test_skips_all_epics_behind_one_that_was_not_merged() -> None:
    """In a chain of any length, each reason names the dependency that was not merged."""
    run = a_run(
        an_epic("a", FAILED, state=pb.EPIC_STATE_FAILED),
        an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",)),
        an_epic("c", PENDING, PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("b",)),
        an_epic("d", PENDING),
    )
    actions = decide(a_snapshot(run))
    ends = [action for action in actions if isinstance(action, FinishEpic)]
    assert [(end.epic.epic, end.state) for end in ends] == [
        ("b", pb.EPIC_STATE_SKIPPED),
        ("c", pb.EPIC_STATE_SKIPPED),
    ]
    assert "epic a" in ends[0].reason
    assert "epic b" in ends[1].reason
    assert sum(isinstance(action, SkipTask) for action in actions) == 3
    assert sum(isinstance(action, StartTask) for action in actions) == 1


def test_a_conflicted_epic_counts_as_ended_and_not_merged() -> None:
    """Its dependents are skipped, and the run fails with a reason that names the epic."""
    run = a_run(
        an_epic("a", ACCEPTED, state=pb.EPIC_STATE_CONFLICTED),
        an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",)),
    )
    board = Board(a_snapshot(run))
    assert ending(board)["b"][0] == pb.EPIC_STATE_SKIPPED
    assert board.ended[RUN] == FinishRun(
        RUN, pb.RUN_STATE_FAILED, "1 of 2 epics conflicted (a); 1 of 2 epics did not run (b)"
    )


def test_a_failed_epic_that_was_merged_lets_its_dependents_run() -> None:
    """A dependent waits for the merge, not for the last task."""
    run = a_run(
        an_epic("a", ACCEPTED, FAILED, state=pb.EPIC_STATE_FAILED, merged=True),
        an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",)),
    )
    assert any(isinstance(action, StartTask) for action in decide(a_snapshot(run)))


def test_a_paused_run_still_merges_and_ends() -> None:
    """Pausing only prevents new tasks from starting."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING)
    board = Board(a_snapshot(a_run(epic, state=pb.RUN_STATE_PAUSED)))
    assert ending(board) == {"a": (pb.EPIC_STATE_SUCCEEDED, "")}
    assert board.ended[RUN].state == pb.RUN_STATE_SUCCEEDED


def test_cancelling_stops_skips_and_ends() -> None:
    """The run ends when no attempt is live; started epics are cancelled, the others are skipped."""
    run = a_run(
        done("a"),
        an_epic("b", RUNNING, PENDING, state=pb.EPIC_STATE_RUNNING),
        an_epic("c", PENDING),
        an_epic("d", ACCEPTED, state=pb.EPIC_STATE_RUNNING),
        state=pb.RUN_STATE_CANCELLING,
    )
    board = Board(a_snapshot(run))
    actions = board.settle()
    assert sum(isinstance(action, StopAttempt) for action in actions) == 1
    assert not any(isinstance(action, StartTask | MergeEpic | FinishRun) for action in actions)
    board.end_attempt(run.epics[1].tasks[0].name, FAILED)
    board.settle()
    assert {epic.name.epic: epic.state for epic in board.runs[RUN].epics} == {
        "a": pb.EPIC_STATE_SUCCEEDED,
        "b": pb.EPIC_STATE_CANCELLED,
        "c": pb.EPIC_STATE_SKIPPED,
        "d": pb.EPIC_STATE_CANCELLED,
    }
    assert board.ended[RUN].state == pb.RUN_STATE_CANCELLED


def test_cancelling_waits_for_a_merge_that_is_under_way() -> None:
    """A running merge is not interrupted."""
    merging = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, merging=True)
    board = Board(a_snapshot(a_run(merging, state=pb.RUN_STATE_CANCELLING)))
    assert board.settle() == []
    board.end_merge(merging.name, merged=True)
    assert ending(board) == {"a": (pb.EPIC_STATE_SUCCEEDED, "")}
    assert board.ended[RUN].state == pb.RUN_STATE_CANCELLED


def test_stops_an_attempt_once() -> None:
    """A session is stopped only once."""
    epic = an_epic("a", RUNNING, state=pb.EPIC_STATE_RUNNING)
    stopping = replace(epic, tasks=(replace(epic.tasks[0], stopping=True),))
    assert decide(a_snapshot(a_run(stopping, state=pb.RUN_STATE_CANCELLING))) == []


def test_merges_a_run_that_succeeded_where_its_user_asked() -> None:
    """The user's branch is updated last, and once."""
    run = a_run(done("a"), merge_into="main")
    assert decide(a_snapshot(run)) == [MergeRun(RUN)]
    assert decide(a_snapshot(replace(run, merging_into=True))) == []
    moved = replace(run, merged_into=True)
    assert decide(a_snapshot(moved)) == [FinishRun(RUN, pb.RUN_STATE_SUCCEEDED)]


def test_fails_a_run_that_conflicts_with_the_users_branch() -> None:
    """The reason names the branch that contains the work."""
    run = a_run(done("a"), merge_into="main", merged_into=True, merge_into_conflict=True)
    [action] = decide(a_snapshot(run))
    assert isinstance(action, FinishRun)
    assert action.state == pb.RUN_STATE_FAILED
    assert "main" in action.reason
    assert RUN.branch in action.reason


def test_leaves_the_users_branch_alone_if_an_epic_failed() -> None:
    """A partly successful run is not merged into the user's branch."""
    run = a_run(done("a"), an_epic("b", FAILED, state=pb.EPIC_STATE_FAILED), merge_into="main")
    [action] = decide(a_snapshot(run))
    assert action == FinishRun(RUN, pb.RUN_STATE_FAILED, "1 of 2 epics failed (b)")


def test_a_skipped_task_keeps_an_epic_from_being_merged() -> None:
    """If only one of several skipped tasks is retried, the epic is not complete."""
    epic = an_epic("a", ACCEPTED, SKIPPED, state=pb.EPIC_STATE_RUNNING)
    assert decide(a_snapshot(a_run(epic))) == [
        FinishEpic(epic.name, pb.EPIC_STATE_FAILED, "1 of 2 tasks did not run")
    ]


@pytest.mark.parametrize(
    ("outcome", "attempts", "retries", "lost", "again"),
    [
        (pb.OUTCOME_FAILED, 1, 0, 0, False),
        (pb.OUTCOME_FAILED, 1, 1, 0, True),
        (pb.OUTCOME_FAILED, 2, 1, 0, False),
        (pb.OUTCOME_TIMED_OUT, 2, 2, 0, True),
        # A lost attempt does not use up the retry.
        (pb.OUTCOME_FAILED, 2, 1, 1, True),
        (pb.OUTCOME_LOST, 1, 0, 1, True),
        (pb.OUTCOME_LOST, 9, 0, MAX_LOSSES, True),
        (pb.OUTCOME_LOST, 9, 9, MAX_LOSSES + 1, False),
        (pb.OUTCOME_LOST, 5, 0, 5, True),
        (pb.OUTCOME_LOST, 6, 9, 6, False),
        (pb.OUTCOME_STOPPED, 1, 5, 0, False),
        (pb.OUTCOME_CANCELLED, 1, 5, 0, False),
        (pb.OUTCOME_SUCCEEDED, 1, 5, 0, False),
    ],
)
def test_retries(
    outcome: "pb.Outcome.ValueType", attempts: int, retries: int, lost: int, again: bool
) -> None:
    """Failures are retried up to their limit, lost attempts have their own limit, stops are never retried."""
    assert should_retry(outcome, attempts, retries, lost) is again


def test_epic_succeeds_without_tasks_that_the_operator_skipped() -> None:
    """A task skipped by the operator prevents neither the merge nor the success of its epic."""
    accepted, skipped = pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_SKIPPED
    tasks = (a_task("one", accepted), a_task("two", skipped, waived=True))
    epic = replace(an_epic("a"), tasks=tasks, state=pb.EPIC_STATE_RUNNING)
    assert decide(a_snapshot(a_run(epic))) == [MergeEpic(epic.name)]
    merged = replace(epic, state=pb.EPIC_STATE_MERGING, merged=True)
    assert decide(a_snapshot(a_run(merged))) == [FinishEpic(epic.name, pb.EPIC_STATE_SUCCEEDED)]
    missing = replace(epic, tasks=(tasks[0], a_task("two", skipped)))
    (finished,) = decide(a_snapshot(a_run(missing)))
    assert isinstance(finished, FinishEpic)
    assert finished.state == pb.EPIC_STATE_FAILED


def test_a_manual_epic_waits_for_its_operator_and_keeps_the_run_open() -> None:
    """The wait is reported once; on request the epic is merged, and dependents wait."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING, merge=pb.MERGE_POLICY_MANUAL)
    dependent = an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",))
    board = Board(a_snapshot(a_run(epic, dependent)))
    assert board.settle() == [AwaitMerge(epic.name)]
    assert decide(board.snapshot) == []
    board.change_epic(epic.name, merge_wanted=True)
    assert decide(board.snapshot) == [MergeEpic(epic.name)]


def test_an_epic_that_is_never_merged_succeeds() -> None:
    """With merge off, accepted tasks suffice for epic and run, and no branch of the user is updated."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING, merge=pb.MERGE_POLICY_OFF)
    board = Board(a_snapshot(a_run(epic, merge_into="main")))
    assert board.settle() == [
        FinishEpic(epic.name, pb.EPIC_STATE_SUCCEEDED),
        FinishRun(RUN, pb.RUN_STATE_SUCCEEDED),
    ]
    failed = an_epic("a", FAILED, ACCEPTED, state=pb.EPIC_STATE_RUNNING, merge=pb.MERGE_POLICY_OFF)
    assert decide(a_snapshot(a_run(failed))) == [
        FinishEpic(failed.name, pb.EPIC_STATE_FAILED, "1 of 2 tasks failed")
    ]


def test_a_conflicted_epic_ends_and_a_dropped_one_is_no_failure() -> None:
    """A conflict fails the run; if the epic is dropped, the run succeeds without its dependents."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, conflict="1 file conflicts")
    board = Board(a_snapshot(a_run(epic, done("b"))))
    assert board.settle() == [
        FinishEpic(epic.name, pb.EPIC_STATE_CONFLICTED, "1 file conflicts"),
        FinishRun(RUN, pb.RUN_STATE_FAILED, "1 of 2 epics conflicted (a)"),
    ]
    dropped = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_DROPPED)
    assert decide(a_snapshot(a_run(dropped, done("b")))) == [FinishRun(RUN, pb.RUN_STATE_SUCCEEDED)]
    dependent = an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",))
    [skip, *_] = decide(a_snapshot(a_run(dropped, dependent)))
    assert isinstance(skip, SkipTask)


def test_agents_get_two_tasks_to_resolve_a_conflict() -> None:
    """on_conflict agent: two conflicts each create a task, which may fail; the third ends the epic."""
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING, on_conflict=pb.ON_CONFLICT_AGENT)
    board = Board(a_snapshot(a_run(epic)))
    board.settle()
    for end in (ACCEPTED, SKIPPED):
        board.end_merge(epic.name, merged=False)
        assert decide(board.snapshot) == [ResolveConflict(epic.name)]
        board.settle()
        (live,) = board.live()
        board.end_attempt(live.name, end)
        board.change_task(live.name, waived=end == SKIPPED)
        assert decide(board.snapshot) == [MergeEpic(epic.name)]
        board.settle()
    board.end_merge(epic.name, merged=False)
    assert decide(board.snapshot) == [FinishEpic(epic.name, pb.EPIC_STATE_CONFLICTED, "1 file conflicts")]


@pytest.mark.parametrize("merge", [pb.MERGE_POLICY_AUTO, pb.MERGE_POLICY_OFF])
def test_an_epic_whose_branch_is_to_go_back_does_not_end_well(merge: "pb.MergePolicy.ValueType") -> None:
    """An epic whose branch contains discarded work is neither merged nor done."""
    task = a_task("t2", SKIPPED, waived=True)
    epic = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_RUNNING, rewinds=True, merge=merge)
    (action,) = decide(a_snapshot(a_run(replace(epic, tasks=(*epic.tasks, task)))))
    assert isinstance(action, FinishEpic)
    assert action.state == pb.EPIC_STATE_FAILED
    assert "set aside" in action.reason
