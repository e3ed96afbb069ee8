"""What stops when a budget is used up."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy.actions import FinishRun, HoldEpic, PauseRun, StartTask, StopAttempt
from scheduler_svc.policy.budgets import dollars, used_up
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView
from tests.support.scheduling import a_run, a_snapshot, an_epic

PENDING, RUNNING, ACCEPTED = pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING, pb.TASK_STATE_ACCEPTED


def with_spent(epic: EpicView, *spent: int) -> EpicView:
    """Returns the epic with the cost of its tasks."""
    pairs = zip(epic.tasks, spent, strict=True)
    return replace(epic, tasks=tuple(replace(task, spent=micros) for task, micros in pairs))


def stopped(actions: list[object]) -> list[str]:
    return [f"{a.attempt.epic}/{a.attempt.task}" for a in actions if isinstance(a, StopAttempt)]


def paused(actions: list[object]) -> list[str]:
    return [action.reason for action in actions if isinstance(action, PauseRun)]


def held(actions: list[object]) -> list[HoldEpic]:
    return [action for action in actions if isinstance(action, HoldEpic)]


def test_what_is_left_lets_work_go_on() -> None:
    """A budget that is not used up stops nothing."""
    run = a_run(with_spent(an_epic("a", ACCEPTED, PENDING), 49_999, 0), budget=50_000)

    assert [type(action) for action in decide(a_snapshot(run))] == [StartTask]


def test_a_runs_budget_stops_all_of_it() -> None:
    """All sessions stop, none starts, and the run is paused with instructions for resuming it."""
    run = a_run(
        with_spent(an_epic("a", RUNNING, PENDING), 30_000, 0),
        with_spent(an_epic("b", RUNNING), 30_000),
        an_epic("c", PENDING),
        budget=50_000,
    )

    actions = decide(a_snapshot(run))

    assert stopped([*actions]) == ["a/t1", "b/t1"]
    assert not any(action.counts for action in actions if isinstance(action, StopAttempt))
    assert paused([*actions]) == [
        "the budget of $0.05 for the run is used up ($0.06 spent): heddle resume r --budget-usd 0.11"
    ]
    assert not any(isinstance(action, StartTask) for action in actions)


def test_an_epics_budget_holds_only_its_epic() -> None:
    """Its session is stopped, the others continue and start new ones, and the operator is told once how to continue."""
    run = a_run(
        with_spent(an_epic("a", RUNNING, PENDING, budget=10), 10, 0),
        an_epic("b", RUNNING),
        an_epic("c", PENDING),
    )
    board = Board(a_snapshot(run))

    actions = board.settle()

    assert stopped([*actions]) == ["a/t1"]
    assert paused([*actions]) == []
    assert [action.attempt.epic for action in actions if isinstance(action, StartTask)] == ["c"]
    [hold] = held([*actions])
    assert hold.spent is not None
    assert (hold.epic.epic, hold.spent.budget, hold.spent.spent) == ("a", 10, 10)
    assert hold.reason.endswith("heddle resume r --of a --budget-usd 0.00002")
    board.end_attempt(run.epics[0].tasks[0].name, PENDING)
    assert board.settle() == []


def test_a_run_is_paused_once_only_held_epics_are_left() -> None:
    """The run waits for the operator when no other epic works, merges or can start; a blocked one cannot."""
    a = with_spent(an_epic("a", PENDING, budget=10), 10)
    blocked = an_epic("b", PENDING, depends_on=("a",), state=pb.EPIC_STATE_BLOCKED)
    for other in (
        an_epic("c", RUNNING),
        an_epic("c", PENDING),
        an_epic("c", ACCEPTED),
        an_epic("c", PENDING, state=pb.EPIC_STATE_BLOCKED),
        an_epic("c", ACCEPTED, state=pb.EPIC_STATE_AWAITING_MERGE, merge=pb.MERGE_POLICY_MANUAL),
    ):
        assert paused([*decide(a_snapshot(a_run(a, blocked, other)))]) == []
    ended = an_epic("c", ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED, merged=True)

    [reason] = paused([*decide(a_snapshot(a_run(a, blocked, ended)))])

    assert "epic a" in reason


def test_an_epic_is_released_when_its_budget_suffices() -> None:
    """A held epic whose budget is raised, or whose rest was skipped, continues."""
    a = with_spent(an_epic("a", PENDING, budget=20, over_budget=True), 10)

    actions = decide(a_snapshot(a_run(a)))

    assert [hold.spent for hold in held([*actions])] == [None]
    assert [type(action) for action in actions][-1] is StartTask


def test_a_tasks_budget_counts_all_of_its_attempts() -> None:
    """A task does not start again if its earlier attempts used up its budget."""
    epic = an_epic("a", PENDING)
    task = replace(epic.tasks[0], attempts=2, spent=7, budget=7)

    actions = decide(a_snapshot(a_run(replace(epic, tasks=(task,)))))

    assert "--of a/t1" in paused([*actions])[0]
    assert [type(action) for action in actions] == [HoldEpic, PauseRun]


def test_a_projects_budget_counts_other_runs() -> None:
    """The cost of other runs on the repository counts, and the reason names the setting."""
    run = a_run(an_epic("a", RUNNING), project_budget=5_000_000, project_spent=5_100_000)

    actions = decide(a_snapshot(run))

    assert stopped([*actions]) == ["a/t1"]
    assert "HEDDLE_PROJECT_BUDGET_USD" in paused([*actions])[0]


def test_work_that_is_done_is_not_held_up() -> None:
    """A budget that the last turn used up stops neither the checks nor the end of the run."""
    checking = with_spent(an_epic("a", RUNNING), 60_000)
    checking = replace(checking, tasks=(replace(checking.tasks[0], checking=True),))
    assert decide(a_snapshot(a_run(checking, budget=50_000))) == []

    board = Board(a_snapshot(a_run(with_spent(an_epic("a", ACCEPTED), 60_000), budget=50_000)))
    board.settle()
    board.end_merge(board.runs[next(iter(board.runs))].epics[0].name, merged=True)
    board.settle()
    assert [type(end) for end in board.ended.values()] == [FinishRun]


def test_a_session_is_stopped_once() -> None:
    """A session that is stopping and a run that is paused get no further actions."""
    board = Board(a_snapshot(a_run(with_spent(an_epic("a", RUNNING, PENDING), 9, 0), budget=9)))

    assert len(board.settle()) == 2
    assert decide(board.snapshot) == []


def test_a_cancelled_run_is_cancelled() -> None:
    """A used-up budget neither pauses a run that is being cancelled nor brings its task back."""
    run = a_run(with_spent(an_epic("a", RUNNING), 9), budget=9, state=pb.RUN_STATE_CANCELLING)

    actions = decide(a_snapshot(run))

    assert paused([*actions]) == []
    assert [action.counts for action in actions if isinstance(action, StopAttempt)] == [True]


@pytest.mark.parametrize(
    ("micros", "text"), [(50_000, "$0.05"), (2_500_000, "$2.50"), (12, "$0.000012"), (3_000_000, "$3.00")]
)
def test_money_is_told_in_full(micros: int, text: str) -> None:
    """Amounts always show cents, and more digits if they have more."""
    assert dollars(micros) == text


def test_a_session_below_two_budgets_is_stopped_once() -> None:
    """Both budgets are named in the pause, and the session gets one stop, for the wider one."""
    run = a_run(with_spent(an_epic("a", RUNNING, budget=5), 9), budget=9)

    actions = decide(a_snapshot(run))

    stops = [action for action in actions if isinstance(action, StopAttempt)]
    assert [stop.reason for stop in stops] == [
        "the budget of $0.000009 for the run is used up ($0.000009 spent)"
    ]
    assert len(paused([*actions])[0].split("; ")) == 2


def test_an_attempt_that_winds_down_wants_no_more() -> None:
    """A task that will be retried waits for its last attempt, whose agent has ended; nothing needs a budget now."""
    epic = with_spent(an_epic("a", RUNNING), 9)
    lingering = replace(epic.tasks[0], state=PENDING, checking=True)
    run = a_run(replace(epic, tasks=(lingering,)), with_spent(an_epic("b", ACCEPTED), 1), budget=9)

    assert used_up(run) == []
    assert len(used_up(replace(run, epics=(*run.epics, an_epic("c", PENDING))))) == 1
