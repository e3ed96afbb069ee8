"""The remaining time of a run, from its estimates and the duration of its tasks."""

from typing import Any

import pytest

from heddle import pb
from scheduler_svc.model.eta import LaneStand, TaskStand, forecast

PLAN = pb.Plan(
    name="Shop",
    epics=[
        pb.PlanEpic(key="a"),
        pb.PlanEpic(key="b"),
        pb.PlanEpic(key="c", depends_on=["a"]),
    ],
)


def pending(epic: str, estimate: float | None = None) -> TaskStand:
    return TaskStand(epic, pb.TASK_STATE_PENDING, estimate)


def running(epic: str, estimate: float | None, took: float) -> TaskStand:
    return TaskStand(epic, pb.TASK_STATE_RUNNING, estimate, took)


def accepted(epic: str, estimate: float | None, took: float) -> TaskStand:
    return TaskStand(epic, pb.TASK_STATE_ACCEPTED, estimate, took)


def test_nothing_is_said_where_nothing_is_known() -> None:
    """Without an estimate or an accepted task the result is unknown, not zero."""
    found = forecast(PLAN, [pending("a"), pending("b")], 4)
    assert not found.HasField("remaining")
    assert found.measured_tasks == 0


def test_estimates_are_corrected_by_what_tasks_took() -> None:
    """Tasks that took half their estimate shorten the rest by a quarter; elapsed time is subtracted."""
    found = forecast(PLAN, [accepted("a", 200, 100), pending("a", 60), running("b", 200, 30)], 4)
    assert found.remaining.ToMilliseconds() == 120_000
    assert found.at_least.ToMilliseconds() == 120_000
    assert list(found.critical_path) == ["b"]
    assert found.measured_tasks == 1


def test_parts_of_seconds_count() -> None:
    """Estimates are told to the millisecond."""
    found = forecast(PLAN, [pending("a", 1.2504), pending("b", 0.5), pending("c", 0.25)], 4)
    assert (found.remaining.ToMilliseconds(), found.at_least.ToMilliseconds()) == (1_500, 1_500)
    waiting = TaskStand("a", pb.TASK_STATE_WAITING, 2.5, 0.75)
    found = forecast(PLAN, [waiting, pending("c", 0.25)], 4)
    assert found.after_operator.ToMilliseconds() == 2_000


def test_quick_tasks_say_little_of_long_ones() -> None:
    """Very short tasks do not shorten the estimate of a task of an hour."""
    found = forecast(PLAN, [accepted("a", 10, 0.1)] * 3 + [running("b", 3600, 60)], 4)
    assert 3400 < found.remaining.ToSeconds() < 3540


def test_estimates_that_were_far_off_correct_within_limits() -> None:
    """Tasks far from their estimates change others by a factor of at most four."""
    slow = forecast(PLAN, [accepted("a", 10_000, 1_000_000), pending("b", 10)], 4)
    assert 39_000 < slow.remaining.ToMilliseconds() < 40_000
    quick = forecast(PLAN, [accepted("a", 10_000, 1), pending("b", 1000)], 4)
    assert 250 < quick.remaining.ToSeconds() < 350


def test_tasks_without_estimates_count_as_those_before_them() -> None:
    """Accepted tasks set the length of the others; dependent tasks add up."""
    found = forecast(PLAN, [accepted("b", None, 20), accepted("b", None, 40), pending("a"), pending("c")], 4)
    assert found.remaining.ToMilliseconds() == 60_000
    assert list(found.critical_path) == ["a", "c"]


def test_tasks_that_go_on_for_long_say_that_tasks_are_long() -> None:
    """One quick task does not mean that two tasks of several minutes are nearly done."""
    tasks = [accepted("a", None, 5), running("a", None, 180), running("b", None, 180)]
    found = forecast(PLAN, tasks, 4)
    assert found.remaining.ToMilliseconds() == 185_000


def test_fewer_slots_take_longer_and_overdue_tasks_go_on() -> None:
    """One slot runs all tasks in turn; an overdue task has a tenth of its time left."""
    tasks = [running("a", 10, 500), pending("b", 10), pending("c", 10)]
    assert forecast(PLAN, tasks, 1).remaining.ToMilliseconds() == 70_000
    assert forecast(PLAN, tasks, 2).remaining.ToMilliseconds() == 60_000


def test_a_run_that_is_over_has_nothing_left() -> None:
    """Failed and skipped tasks count as ended."""
    found = forecast(PLAN, [accepted("a", 10, 9), TaskStand("b", pb.TASK_STATE_FAILED, 10, 3)], 2)
    assert found.HasField("remaining")
    assert found.remaining.ToMilliseconds() == 0
    assert list(found.critical_path) == []


def test_a_task_that_waits_for_an_answer_goes_on() -> None:
    """It is open, its elapsed time is subtracted, and it tells how long tasks are."""
    waiting = TaskStand("a", pb.TASK_STATE_WAITING, 100, 30)
    assert forecast(PLAN, [waiting], 1).remaining.ToMilliseconds() == 70_000
    tasks = [accepted("b", None, 20), TaskStand("a", pb.TASK_STATE_WAITING, None, 40), pending("c")]
    assert forecast(PLAN, tasks, 1).remaining.ToMilliseconds() == 60_000 + 20_000


def test_only_the_time_of_the_present_attempt_is_subtracted() -> None:
    """A task that is retried takes its whole estimate again; one that has just started has no time yet."""
    retried = TaskStand("a", pb.TASK_STATE_PENDING, 100, 30)
    assert forecast(PLAN, [retried], 1).remaining.ToMilliseconds() == 100_000
    started = TaskStand("a", pb.TASK_STATE_RUNNING, 100)
    assert forecast(PLAN, [started], 1).remaining.ToMilliseconds() == 100_000


def test_a_task_without_an_estimate_counts_as_the_mean_of_the_others() -> None:
    """Until a task is accepted, the plan's estimates are all that is known."""
    found = forecast(PLAN, [pending("a", 10), pending("b", 30), pending("b")], 1)
    assert found.remaining.ToMilliseconds() == 60_000
    assert found.measured_tasks == 0


def test_tasks_that_took_no_time_count_as_such() -> None:
    """Zero seconds are a measurement; a running task without a time adds nothing."""
    instant = [accepted("b", None, 0), accepted("b", None, 10), pending("a")]
    assert forecast(PLAN, instant, 1).remaining.ToMilliseconds() == 5_000
    fresh = [accepted("b", None, 10), TaskStand("a", pb.TASK_STATE_RUNNING, None, None)]
    assert forecast(PLAN, fresh, 1).remaining.ToMilliseconds() == 10_000
    estimated = [accepted("b", 10, 0), accepted("b", 10, 20), pending("a", 50)]
    assert forecast(PLAN, estimated, 1).remaining.ToMilliseconds() == 50_000


def waiting(epic: str, estimate: float | None, took: float) -> TaskStand:
    return TaskStand(epic, pb.TASK_STATE_WAITING, estimate, took)


def test_work_after_a_question_is_told_apart() -> None:
    """What starts only after an answer includes the epics that depend on it, and does not shrink while the question waits."""
    tasks = [waiting("a", 60, 10), pending("a", 30), running("b", 500, 20), pending("c", 40)]
    found = forecast(PLAN, tasks, 4)
    assert found.remaining.ToSeconds() == 480
    assert found.after_operator.ToSeconds() == 50 + 30 + 40


def test_an_epic_that_waits_for_its_merge_blocks_those_after_it() -> None:
    """A wanted merge has no work of its own: what depends on it starts after the operator has acted, or nothing does."""
    found = forecast(PLAN, [accepted("a", 60, 60), accepted("b", 5, 5), pending("c", 40)], 4, {"a"})
    assert found.after_operator.ToSeconds() == 40
    ended = forecast(PLAN, [accepted("a", 60, 60), accepted("b", 5, 5), accepted("c", 4, 4)], 4, {"b"})
    assert ended.HasField("after_operator")
    assert ended.after_operator.ToSeconds() == 0


def test_nothing_waits_where_nobody_is_asked() -> None:
    """Without a wait, no part of the rest depends on the operator."""
    assert not forecast(PLAN, [running("a", 60, 10)], 4).HasField("after_operator")


RUNNING, WAITING, PENDING = pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING, pb.TASK_STATE_PENDING
PASSED, FAILED, ACCEPTED = pb.TASK_STATE_PASSED, pb.TASK_STATE_FAILED, pb.TASK_STATE_ACCEPTED


@pytest.mark.parametrize(
    ("state", "lanes", "fields", "left"),
    [
        # All have ended, and a person chooses: the choice takes no time of the task.
        (WAITING, [(PASSED, 400), (PASSED, 470)], {}, 0),
        (WAITING, [(PASSED, 400), (FAILED, 470)], {}, 0),
        # The same after a comparison by an agent, and during it.
        (WAITING, [(PASSED, 400), (PASSED, 470)], {"in_review": True, "took": 5}, 0),
        (RUNNING, [(PASSED, 400), (PASSED, 470)], {"in_review": True, "took": 5}, 0),
        (PENDING, [(PASSED, 400), (PASSED, 470)], {"in_review": True}, 0),
        # One is chosen, and its work is taken over.
        (PENDING, [(PASSED, 400), (PASSED, 470)], {"chosen": 2}, 0),
        (RUNNING, [(PASSED, 400), (PASSED, 470)], {"chosen": 2, "took": 1}, 0),
        # While candidates work, the one with the most left counts.
        (RUNNING, [(RUNNING, 100), (RUNNING, 300)], {}, 380),
        (RUNNING, [(PASSED, 400), (RUNNING, 300)], {}, 180),
        (RUNNING, [(PASSED, 400), (PENDING, None)], {}, 480),
        (RUNNING, [(PASSED, 400), (RUNNING, 600)], {}, 60),
        (WAITING, [(PASSED, 400), (WAITING, 300)], {}, 180),
        # All have failed before, and start again.
        (PENDING, [(FAILED, 400), (FAILED, 470)], {}, 480),
    ],
)
def test_candidates_that_have_ended_leave_only_the_choice(
    state: "pb.TaskState.ValueType",
    lanes: list[tuple["pb.TaskState.ValueType", float | None]],
    fields: dict[str, Any],
    left: int,
) -> None:
    """A task whose candidates have all ended needs no more time after the choice; others need that of a candidate."""
    stands = tuple(LaneStand(number, *lane) for number, lane in enumerate(lanes, 1))
    tried = TaskStand("a", state, 480, lanes=stands, **fields)
    found = forecast(PLAN, [tried, pending("c", 30)], 4)
    assert found.remaining.ToSeconds() == left + 30
    if state == WAITING:
        assert found.after_operator.ToSeconds() == left + 30


def test_work_under_review_is_nearly_done() -> None:
    """Only the review of the work is left, whose time counts as a tenth of the task's."""
    for state in (PENDING, RUNNING):
        reviewed = TaskStand("a", state, 480, 3, in_review=True)
        assert forecast(PLAN, [reviewed], 4).remaining.ToSeconds() == 48


def test_a_task_took_as_long_as_its_chosen_candidate() -> None:
    """The time in which the work was taken over says nothing about other tasks."""
    lanes = (LaneStand(1, pb.TASK_STATE_SKIPPED, 70), LaneStand(2, ACCEPTED, 60))
    tried = TaskStand("a", ACCEPTED, None, 0.5, lanes=lanes, chosen=2)
    found = forecast(PLAN, [tried, pending("b")], 4)
    assert (found.remaining.ToSeconds(), found.measured_tasks) == (60, 1)
    estimated = TaskStand("a", ACCEPTED, 120, 0.5, lanes=lanes, chosen=2)
    assert forecast(PLAN, [estimated, pending("b", 120)], 4).remaining.ToSeconds() == 90
    going = TaskStand("b", RUNNING, lanes=(LaneStand(1, RUNNING, 30), LaneStand(2, RUNNING, 40)))
    assert forecast(PLAN, [tried, going], 4).remaining.ToSeconds() == 70
