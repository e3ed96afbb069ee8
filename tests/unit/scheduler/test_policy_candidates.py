"""Which candidate of a task is chosen, and when its work is taken over."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from heddle.names import EpicName, TaskName
from scheduler_svc.policy import candidates
from scheduler_svc.policy.actions import (
    Action,
    AskForChoice,
    ChooseCandidate,
    FailCandidates,
    SkipTask,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.snapshot import EpicView, TaskView
from tests.support.scheduling import RUN, WORKER, a_run, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
WAITING = pb.TASK_STATE_WAITING
PASSED = pb.TASK_STATE_PASSED
FAILED = pb.TASK_STATE_FAILED

TASK = TaskName(RUN.run, "a", "t")


def lane(number: int, state: "pb.TaskState.ValueType", **changes: Any) -> TaskView:
    """Returns a candidate of task t; it is live if it runs."""
    name = TASK.of_candidate(number)
    live = name.attempt(1) if state == RUNNING else None
    return TaskView(name, state, 1, whole=TASK, **({"live_attempt": live} | changes))


def trying(*lanes: TaskView, **changes: Any) -> TaskView:
    """Returns task t, which its candidates try."""
    task = replace(a_task("t", RUNNING), live_attempt=None, candidates=len(lanes), lanes=lanes)
    return replace(task, **changes)


def decided(task: TaskView, *causes: str) -> list[Action]:
    run = a_run(replace(an_epic("a"), tasks=(task,)))
    return list(candidates.decided(run, causes))


@pytest.mark.parametrize(
    "open_one",
    [
        lane(2, RUNNING),
        lane(2, PENDING),
        lane(2, WAITING),
        lane(2, WAITING, live_attempt=TASK.of_candidate(2).attempt(1)),
    ],
    ids=["runs", "starts later", "is parked", "asks"],
)
def test_nothing_is_decided_before_all_have_ended(open_one: TaskView) -> None:
    """A candidate that runs, waits for the operator or can start may still be better."""
    assert decided(trying(lane(1, PASSED), open_one)) == []
    assert decided(trying(lane(1, FAILED), open_one)) == []


def test_the_only_one_that_passed_is_chosen() -> None:
    """Its number is that in its name, and the reason says that there was no other."""
    chosen = ChooseCandidate(TASK, 2, "it is the only one whose checks passed")
    assert decided(trying(lane(1, FAILED), lane(2, PASSED))) == [chosen]
    assert decided(trying(lane(1, FAILED), lane(2, PASSED, score=3.0))) == [chosen]


def test_a_task_without_a_passed_candidate_fails() -> None:
    """If none passed, the task fails; in an epic that must not continue, nothing is decided."""
    task = trying(lane(1, FAILED), lane(2, FAILED))
    assert decided(task) == [FailCandidates(TASK)]
    assert decided(task, "b") == [FailCandidates(TASK)]
    assert decided(task, "a") == []
    # Not started, or taken over now.
    assert decided(replace(task, state=PENDING)) == []
    assert decided(replace(task, live_attempt=TASK.attempt(1))) == []
    assert decided(replace(task, candidates=0)) == []


@pytest.mark.parametrize(
    ("scores", "number", "why"),
    [
        ((1.0, 2.0, 1.5), 2, "the highest: 2"),
        ((2.0, 1.0, 2.0), 1, "one of the highest: 2"),
        ((1.0, 2.0, 2.0), 2, "one of the highest: 2"),
        ((-2.0, -1.0, -3.0), 2, "the highest: -1"),
        ((0.0, -1.0, -3.0), 1, "the highest: 0"),
        ((None, 0.25, None), 2, "the highest: 0.25"),
    ],
)
def test_the_highest_score_wins(scores: tuple[float | None, ...], number: int, why: str) -> None:
    """Of several with the highest score the first is chosen; a score of 0 is one."""
    lanes = [lane(place, PASSED, score=score) for place, score in enumerate(scores, 1)]
    assert decided(trying(*lanes)) == [ChooseCandidate(TASK, number, f"its score is {why}")]


def test_without_scores_the_operator_chooses_once() -> None:
    """All that passed are offered, by number; while the task waits for that, it is not asked again."""
    task = trying(lane(1, PASSED), lane(2, FAILED), lane(3, PASSED))
    assert decided(task) == [AskForChoice(TASK, (1, 3))]
    assert decided(replace(task, state=WAITING)) == []


def test_a_choice_ends_the_others_first() -> None:
    """Those with a session are stopped once, the others are skipped; then the choice takes effect."""
    reason = "candidate 1 was chosen"
    others = [lane(2, RUNNING), lane(3, RUNNING, stopping=True), lane(4, PENDING), lane(5, WAITING)]
    assert decided(trying(lane(1, PASSED), *others, chosen=1)) == [
        StopAttempt(TASK.of_candidate(2).attempt(1), reason),
        SkipTask(TASK.of_candidate(4), reason),
        SkipTask(TASK.of_candidate(5), reason),
    ]
    assert decided(trying(lane(1, PASSED), lane(2, FAILED), chosen=1)) == [ChooseCandidate(TASK, 1, "")]


def test_candidates_share_the_budget_of_their_task() -> None:
    """What they have cost counts for their task; each is added to its own task, in order."""
    other = TaskName(RUN.run, "a", "u")
    tasks = [a_task("t", spent=5), a_task("u", spent=7), a_task("v", spent=9)]
    lanes = [lane(1, PASSED, spent=10), lane(2, PASSED, spent=30)]
    foreign = replace(lane(1, PASSED, spent=100), whole=other)
    found = candidates.with_lanes(tasks, [lanes[0], foreign, lanes[1]])
    assert [(task.spent, task.lanes) for task in found] == [(45, tuple(lanes)), (107, (foreign,)), (9, ())]


def taking(**changes: Any) -> EpicView:
    """Returns an epic whose task can take over the work of its second candidate."""
    task = replace(a_task("t"), attempts=3, candidates=2, chosen=2)
    return replace(an_epic("a"), tasks=(task,), **changes)


def started(epic: EpicView, *causes: str, workers: str = WORKER, lost: str = "") -> list[StartTask]:
    return list(candidates.taken_over(a_run(epic), causes, workers.split(), lost.split()))


def test_work_is_taken_over_where_it_is() -> None:
    """The next attempt starts without a slot or a budget, unless its epic or task must wait."""
    start = StartTask(TASK.attempt(4))
    assert started(taking()) == [start]
    assert started(taking(), "b") == [start]
    assert started(taking(), "a") == []
    assert started(taking(merging=True)) == []
    assert started(taking(), workers="other") == []
    (task,) = taking().tasks
    busy = (task, a_task("u", RUNNING))
    for tasks in (busy, (replace(task, paced=True),), (replace(task, chosen=0),), ()):
        assert started(replace(taking(), tasks=tasks)) == []


def test_work_is_taken_over_before_an_earlier_task_that_was_reset() -> None:
    """The chosen work builds on the branch as it is; work of another task below it could not be accepted."""
    chosen = replace(a_task("t"), candidates=2, chosen=1)
    epic = replace(an_epic("a"), tasks=(a_task("reset"), chosen, a_task("later")))
    assert epic.next_task == chosen
    assert list(candidates.taken_over(a_run(epic), (), {WORKER}, ())) == [StartTask(TASK.attempt(1))]


def test_other_epics_do_not_hold_up_a_takeover() -> None:
    """An epic that cannot take over now is passed over, not the epics after it."""
    ready = replace(taking(), name=EpicName(RUN.run, "b"))
    for held in (replace(taking(), merging=True), replace(taking(), tasks=())):
        found = candidates.taken_over(a_run(held, ready), (), [WORKER], ())
        assert list(found) == [StartTask(TASK.attempt(4))]


def test_work_of_a_lost_place_is_taken_over_elsewhere() -> None:
    """The remote has it: the run's worker takes it over, or the first that can be asked."""
    away = taking(moves=True, worker="w9")
    assert started(away, workers="w9") == [StartTask(TASK.attempt(4))]
    assert started(away, workers="w2 w1") == []
    assert started(away, workers="w2 w1", lost="w9") == [
        StartTask(TASK.attempt(4), None, "w1", "w9 was lost")
    ]
    here = StartTask(TASK.attempt(4), None, WORKER, "w9 was lost")
    assert started(away, workers=f"a {WORKER}", lost="w9") == [here]
    assert started(away, workers="", lost="w9") == []
    assert started(replace(away, moves=False), workers="w2", lost=f"w9 {WORKER}") == []
