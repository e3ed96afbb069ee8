"""How much of a budget is reserved before a task starts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.names import TaskName
from scheduler_svc.policy.actions import Action, StartTask, StopAttempt
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.ledger import Ledger, outgrown
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView, RunView, TaskView
from tests.support.scheduling import a_run, a_snapshot, an_epic

PENDING, RUNNING, ACCEPTED = pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING, pb.TASK_STATE_ACCEPTED


def shares(actions: Sequence[Action]) -> dict[str, int | None]:
    return {each.attempt.epic: each.share for each in actions if isinstance(each, StartTask)}


def stopped(actions: Sequence[Action]) -> list[str]:
    return [each.attempt.epic for each in actions if isinstance(each, StopAttempt)]


def running(key: str, **costs: Any) -> EpicView:
    epic = an_epic(key, RUNNING)
    return replace(epic, tasks=(replace(epic.tasks[0], **costs),))


def test_without_a_budget_nothing_is_reserved() -> None:
    """Tasks without a budget start as usual, with no limit."""
    assert shares(decide(a_snapshot(a_run(an_epic("a", PENDING), an_epic("b", PENDING))))) == {
        "a": None,
        "b": None,
    }


def test_what_nobody_knows_is_shared_out_evenly() -> None:
    """Without a known cost, sessions that start together share the whole budget equally."""
    run = a_run(*(an_epic(key, PENDING) for key in "abc"), budget=90)

    assert shares(decide(a_snapshot(run))) == {"a": 30, "b": 30, "c": 30}
    assert shares(decide(a_snapshot(replace(run, max_parallel=2)))) == {"a": 45, "b": 45}


def test_the_tightest_budget_decides() -> None:
    """The budget with the least free amount limits the tasks below it."""
    run = a_run(
        an_epic("a", PENDING, budget=50), an_epic("b", PENDING), budget=1000, project_budget=60, project="/p"
    )

    assert shares(decide(a_snapshot(run))) == {"a": 30, "b": 30}
    assert shares(decide(a_snapshot(replace(run, project_budget=None)))) == {"a": 50, "b": 950}


def test_a_task_waits_for_what_similar_ones_cost() -> None:
    """A task needs its typical cost to start next to others; alone, it gets all that is left."""
    busy = running("a", spent=10, reserved=50, turn=5)
    run = a_run(busy, an_epic("b", PENDING), budget=100, typical_cost=41)

    assert shares(decide(a_snapshot(run))) == {}
    assert shares(decide(a_snapshot(replace(run, typical_cost=40)))) == {"b": 40}
    idle = a_run(an_epic("b", PENDING), budget=30, typical_cost=41)
    assert shares(decide(a_snapshot(idle))) == {"b": 30}


def test_what_has_just_been_reserved_is_no_longer_free() -> None:
    """Amounts reserved for one task are not available to the next one."""
    run = a_run(an_epic("a", PENDING), an_epic("b", PENDING), budget=100, typical_cost=60)

    assert shares(decide(a_snapshot(run))) == {"a": 100}
    assert shares(decide(a_snapshot(replace(run, typical_cost=40)))) == {"a": 80}
    assert shares(decide(a_snapshot(replace(run, typical_cost=20)))) == {"a": 50, "b": 50}


def test_a_session_in_its_checks_holds_none_of_the_budget() -> None:
    """Its agent has ended, so its reservation is free, and it does not count as spending."""
    busy = running("a", spent=10, reserved=50, checking=True)
    run = a_run(busy, an_epic("b", PENDING), budget=100, typical_cost=95)

    assert shares(decide(a_snapshot(run))) == {"b": 90}
    assert shares(
        decide(a_snapshot(a_run(running("a", spent=10, reserved=50), *run.epics[1:], budget=100)))
    ) == {"b": 40}


def test_runs_of_a_project_share_its_budget() -> None:
    """An amount reserved by a session of one run is not free for another run of the project."""
    first = a_run(running("a", reserved=70), project_budget=100, project="/p", typical_cost=31)
    second = a_run(an_epic("b", PENDING), project_budget=100, project="/p", typical_cost=31)
    second = replace(second, name=second.name._replace(run="other"))

    assert shares(decide(a_snapshot(first, second))) == {}
    assert shares(decide(a_snapshot(first, replace(second, project="/q")))) == {"b": 100}


def test_a_session_is_stopped_before_its_next_turn_overruns_what_others_share() -> None:
    """A session beyond its share uses the free amount; if that is too small, only it is stopped."""
    run = a_run(
        running("a", spent=48, reserved=2, turn=10), running("b", spent=10, reserved=40, turn=10), budget=108
    )

    assert stopped(decide(a_snapshot(run))) == []
    assert stopped(decide(a_snapshot(replace(run, budget=107)))) == ["a"]
    alone = a_run(running("a", spent=48, reserved=2, turn=10), budget=50)
    assert stopped(decide(a_snapshot(alone))) == []


STOPPED, PARKED = pb.ATTEMPT_STATE_STOPPED, pb.ATTEMPT_STATE_PARKED


@pytest.mark.parametrize(
    ("state", "share", "cost", "turn", "found"),
    [
        (STOPPED, 50, 48, 10, 50),
        (STOPPED, 50, 40, 10, 0),
        (STOPPED, 50, 41, 10, 50),
        (STOPPED, 5, 20, 10, 20),
        (PARKED, 50, 50, 5, 50),
        (PARKED, 50, 10, 10, 0),
        (STOPPED, None, 48, 10, 0),
        (STOPPED, 50, 0, 0, 0),
        # It failed or was lost for another reason, or it is the first.
        (pb.ATTEMPT_STATE_FAILED, 50, 60, 10, 0),
        (pb.ATTEMPT_STATE_LOST, 50, 60, 10, 0),
        (None, None, 0, 0, 0),
    ],
)
def test_a_share_was_too_small_if_no_other_turn_fits_into_it(
    state: int | None, share: int | None, cost: int, turn: int, found: int
) -> None:
    """Only a session that ended early for that has outgrown its share, or what it has spent if that is more."""
    assert outgrown(state, share, cost, turn) == found


@pytest.mark.parametrize(
    ("free", "typical", "live", "share"),
    [
        # Next to others it waits until it can have twice the share that was too small.
        (99, 0, True, None),
        (100, 0, True, 100),
        # What similar tasks cost is another lower limit.
        (119, 120, True, None),
        (120, 120, True, 120),
        (300, 120, True, 300),
        # Nothing else can give back a part, so it has all that is left.
        (99, 0, False, 99),
        (1, 0, False, 1),
        (0, 0, False, None),
    ],
)
def test_a_task_that_has_outgrown_its_share_gets_a_larger_one(
    free: int, typical: int, live: bool, share: int | None
) -> None:
    """A task is not tried again with as small a part: it waits for the other sessions below the budget."""
    again = an_epic("a", PENDING)
    again = replace(again, tasks=(replace(again.tasks[0], outgrown=50, spent=60),))
    others = [running("b", reserved=30)] if live else []
    run = a_run(again, *others, budget=60 + free + 30 * live, typical_cost=typical)
    assert shares(decide(a_snapshot(run))) == ({} if share is None else {"a": share})


def test_of_tasks_that_have_all_outgrown_their_shares_one_goes_first() -> None:
    """The first gets its larger part, and the next one only if what is left is enough for it too."""
    epics = [an_epic(key, PENDING) for key in "abc"]
    epics = [replace(each, tasks=(replace(each.tasks[0], outgrown=30),)) for each in epics]
    run = a_run(*epics, budget=100)
    assert shares(decide(a_snapshot(run))) == {"a": 60}
    assert shares(decide(a_snapshot(replace(run, budget=119)))) == {"a": 60}
    assert shares(decide(a_snapshot(replace(run, budget=120)))) == {"a": 60, "b": 60}


def test_a_task_that_waits_for_a_larger_part_keeps_no_other_from_starting() -> None:
    """What is too little for it is enough for a task that costs less."""
    again = an_epic("a", PENDING)
    again = replace(again, tasks=(replace(again.tasks[0], outgrown=50),))
    run = a_run(again, an_epic("b", PENDING), running("c", reserved=30), budget=129, typical_cost=40)
    assert shares(decide(a_snapshot(run))) == {"b": 99}


class Spender:
    """Sessions that spend turn by turn; the next decision sees the usage that they report."""

    def __init__(self, run: RunView) -> None:
        self.board = Board(a_snapshot(run))
        # Of the live sessions.
        self.share: dict[TaskName, int] = {}
        self.cost: dict[TaskName, int] = {}
        self.stopped: list[TaskName] = []

    def settle(self) -> None:
        working = {task.name for task in self.board.live()}
        needed = {task.name: task.outgrown for task in self.board.tasks()}
        for action in self.board.settle():
            if isinstance(action, StartTask):
                name = action.attempt.parent
                assert not working or (action.share or 0) >= 2 * needed[name], "as small a part again"
                working.add(name)
                self.share[name], self.cost[name] = action.share or 0, 0
                self.board.change_task(name, reserved=action.share or 0, turn=0, outgrown=0)
        for task in self.board.live():
            if task.stopping:
                self.end_early(task.name, STOPPED)

    def end_early(self, name: TaskName, state: int) -> None:
        turn = self.board.task(name).turn
        # 0: the whole budget is used up.
        needed = outgrown(state, self.share[name], self.cost[name], turn)
        self.stopped.append(name)
        self.board.end_attempt(name, PENDING)
        self.board.change_task(name, reserved=0, turn=0, outgrown=needed)

    def spend(self, task: TaskView, price: int) -> None:
        self.cost[task.name] += price
        self.board.change_task(
            task.name, spent=task.spent + price, reserved=max(0, task.reserved - price), turn=price
        )


@settings(max_examples=200, deadline=None)
# The first is stopped next to the second, and some is left, but less than its share was.
@example(
    turns=[[3, 3, 3, 3], [3, 3, 3, 3]],
    budget=10,
    at_once=2,
    typical=0,
    seed=0,
    resumes=True,
    stops_itself=False,
)
@given(
    turns=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=8), min_size=1, max_size=6),
    budget=st.integers(1, 300),
    at_once=st.integers(1, 4),
    typical=st.just(0) | st.integers(0, 40),
    seed=st.integers(0, 2**32),
    resumes=st.booleans(),
    stops_itself=st.booleans(),
)
def test_a_budget_is_overrun_by_one_turn_altogether(
    *,
    turns: list[list[int]],
    budget: int,
    at_once: int,
    typical: int,
    seed: int,
    resumes: bool,
    stops_itself: bool,
) -> None:
    """Sessions with equal turns use the whole budget and overrun it by at most one turn; few are stopped on the way.

    `resumes`: a session that was stopped continues its work later. `stops_itself`: a session ends at its share.
    """
    price = max(turns[0])
    run = a_run(
        *(an_epic(f"e{place}", PENDING) for place in range(len(turns))),
        budget=budget,
        max_parallel=at_once,
        typical_cost=typical,
    )
    play = Spender(run)
    left = {f"e{place}": len(each) for place, each in enumerate(turns)}
    play.settle()
    counted = 0
    for step in range(1000):
        live = play.board.live()
        if not live:
            break
        task = live[(seed + step) % len(live)]
        play.spend(task, price)
        left[task.name.epic] -= 1
        if not left[task.name.epic]:
            play.board.end_attempt(task.name, ACCEPTED)
            play.board.change_task(task.name, reserved=0, turn=0)
        elif stops_itself and play.cost[task.name] >= play.share[task.name]:
            play.end_early(task.name, PARKED)
        play.settle()
        if not resumes:
            for name in play.stopped[counted:]:
                left[name.epic] = len(turns[int(name.epic[1:])])
        counted = len(play.stopped)
    spent = sum(task.spent for task in play.board.tasks())
    # If no cost is known, the first turn of each session costs more than any known one.
    assert spent < budget + price * (1 if typical >= price else at_once)
    # Nothing runs: either all work is done, or the budget is used up. The run never stalls in between.
    assert not any(left.values()) or spent >= budget
    # Each part is at least twice the one before, unless it is all that is left.
    for name in set(play.stopped):
        assert play.stopped.count(name) <= budget.bit_length() + 1


def test_only_sessions_that_can_start_share_what_is_left() -> None:
    """A run at its limit divides a budget by its free places, not by its epics."""
    run = a_run(running("a"), *(an_epic(key, PENDING) for key in "bcd"), budget=90)
    assert shares(decide(a_snapshot(replace(run, max_parallel=2)))) == {"b": 90}
    assert shares(decide(a_snapshot(replace(run, max_parallel=3)))) == {"b": 45, "c": 45}
    assert shares(decide(a_snapshot(run))) == {"b": 30, "c": 30, "d": 30}


def test_spending_of_all_tasks_counts() -> None:
    """Each level subtracts what its own tasks and runs have spent."""
    epic = an_epic("a", ACCEPTED, ACCEPTED, PENDING, budget=100)
    spent = [replace(task, spent=10 + place) for place, task in enumerate(epic.tasks)]
    run = a_run(replace(epic, tasks=tuple(spent)))
    assert shares(decide(a_snapshot(run))) == {"a": 100 - 10 - 11 - 12}
    of_run = a_run(replace(epic, tasks=tuple(spent), budget=None), budget=200)
    assert shares(decide(a_snapshot(of_run))) == {"a": 200 - 33}
    of_project = replace(of_run, project_budget=150, project_spent=40, project="/p")
    assert shares(decide(a_snapshot(of_project))) == {"a": 110}
    of_task = replace(epic, budget=None, tasks=(*spent[:2], replace(spent[2], budget=30)))
    assert shares(decide(a_snapshot(a_run(of_task)))) == {"a": 30 - 12}


def test_a_stop_does_not_count_as_a_failure() -> None:
    """The task of a stopped session runs again without using up a retry, and says why."""
    run = a_run(
        running("a", spent=48, reserved=2, turn=10), running("b", spent=10, reserved=40, turn=10), budget=107
    )
    [stop] = [each for each in decide(a_snapshot(run)) if isinstance(each, StopAttempt)]
    assert not stop.counts
    assert stop.reason == (
        "its part of a budget that other sessions share is used up; it runs again with a larger part once that is free"
    )
    stopping = replace(run.epics[0], tasks=(replace(run.epics[0].tasks[0], stopping=True),))
    assert stopped(decide(a_snapshot(replace(run, epics=(stopping, run.epics[1]))))) == []


def test_the_last_micro_may_be_spent_next_to_others() -> None:
    """If no cost is known, any rest of a budget is enough to start; nothing is not."""
    busy = running("a", reserved=50)
    assert shares(decide(a_snapshot(a_run(busy, an_epic("b", PENDING), budget=51)))) == {"b": 1}
    assert shares(decide(a_snapshot(a_run(busy, an_epic("b", PENDING), budget=50)))) == {}


@pytest.mark.parametrize(("spent", "share"), [(0, 5), (4, 1), (5, 0), (9, 0)])
def test_a_share_is_never_negative(spent: int, share: int) -> None:
    """A budget that is overrun has nothing left."""
    epic = an_epic("a", PENDING, budget=5)
    epic = replace(epic, tasks=(replace(epic.tasks[0], spent=spent),))
    run = a_run(epic)
    assert Ledger([run]).share(run, run.epics[0], run.epics[0].tasks[0], 1) == share


@pytest.mark.parametrize(
    ("budget", "reserved", "stops"), [(19, 10, []), (20, 9, []), (19, 9, ["a"]), (18, 9, ["a"])]
)
def test_a_session_is_stopped_only_for_what_its_share_does_not_cover(
    budget: int, reserved: int, stops: list[str]
) -> None:
    """A turn that its share covers is never a reason, even if the budget is promised more than once."""
    run = a_run(running("a", reserved=reserved, turn=10), running("b", reserved=10, turn=10), budget=budget)
    assert stopped(decide(a_snapshot(run))) == stops


def test_the_last_session_is_left_alone() -> None:
    """Each stop leaves one session fewer that shares the budget."""
    three = a_run(*(running(key, reserved=0, turn=10) for key in "abc"), budget=9)
    assert stopped(decide(a_snapshot(three))) == ["a", "b"]
    twice = replace(three, project_budget=9, project="/p")
    assert stopped(decide(a_snapshot(twice))) == ["a", "b"]


def test_a_session_below_two_tight_budgets_is_stopped_once() -> None:
    """The first budget that it could exceed is enough."""
    covered = running("b", reserved=10, turn=10)
    run = a_run(running("a", reserved=0, turn=10), covered, budget=19, project_budget=19, project="/p")
    assert stopped(decide(a_snapshot(run))) == ["a"]


def test_a_session_in_its_checks_is_not_stopped() -> None:
    """Its agent has ended, so it has no next turn; a task that has not started has none either."""
    checking = running("a", reserved=0, turn=10, checking=True)
    others = [running(key, reserved=10, turn=10) for key in "bc"]
    assert stopped(decide(a_snapshot(a_run(checking, *others, budget=25)))) == []
    second = an_epic("a", ACCEPTED, RUNNING)
    second = replace(second, tasks=(second.tasks[0], replace(second.tasks[1], turn=10)))
    assert stopped(decide(a_snapshot(a_run(second, *others, budget=25)))) == ["a"]
