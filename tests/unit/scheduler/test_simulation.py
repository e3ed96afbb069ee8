"""Simulates plans in memory with the real policy."""

import io
import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.policy.actions import (
    AwaitMerge,
    DenyOverdue,
    FinishRun,
    MergeEpic,
    MergeRun,
    ParkAttempt,
    PauseRun,
    ResolveConflict,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.simulation import main, play
from scheduler_svc.policy.snapshot import EpicView
from tests.support.scheduling import RUN, a_run, a_snapshot, an_epic


def plan_of(*minutes: list[int], depends_on: dict[int, int] | None = None) -> pb.Plan:
    plan = pb.Plan(name="Simulated")
    for number, tasks in enumerate(minutes):
        epic = plan.epics.add(key=f"e{number}")
        for place, each in enumerate(tasks):
            epic.tasks.add(key=f"t{place}", prompt="Go").estimate.FromSeconds(60 * each)
    for epic_number, other in (depends_on or {}).items():
        plan.epics[epic_number].depends_on.append(f"e{other}")
    return plan


@pytest.mark.parametrize(
    ("max_parallel", "makespan", "busy"), [(1, 6 * 60, 1.0), (2, 3 * 60, 1.0), (4, 3 * 60, 0.5)]
)
def test_more_sessions_take_less_time_until_an_epic_bounds_it(
    max_parallel: int, makespan: float, busy: float
) -> None:
    """No number of sessions makes a plan shorter than its longest epic."""
    played = play(plan_of([1, 2], [1], [2]), max_parallel)
    assert (played.makespan, played.busy) == (makespan, busy)


def test_dependencies_and_merges_by_hand_are_waited_for() -> None:
    """An epic begins when its dependency is merged, even if the operator merges it."""
    plan = plan_of([2], [3], depends_on={1: 0})
    plan.defaults.merge = pb.MERGE_POLICY_MANUAL
    plan.merge_into = "main"
    assert play(plan, 4).makespan == 5 * 60


def test_without_estimates_tasks_are_counted() -> None:
    """If the length of tasks is unknown, each counts as one."""
    plan = plan_of([1, 1, 1])
    for task in plan.epics[0].tasks:
        task.ClearField("estimate")
    assert play(plan, 2).makespan == 3


def test_a_plan_without_work_takes_no_time() -> None:
    """No slot is busy then."""
    assert play(pb.Plan(), 2) == (2, 0.0, 0.0)


def test_the_results_are_lines_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program reads a plan and plays it once for each number of sessions, in their order."""
    stdin = io.TextIOWrapper(io.BytesIO(plan_of([1, 2], [1]).SerializeToString()))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "argv", ["simulation", "2", "1"])
    assert main() == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"max_parallel": 2, "makespan": 180.0, "busy": 240 / 360},
        {"max_parallel": 1, "makespan": 240.0, "busy": 1.0},
    ]


def test_priorities_and_the_order_of_tasks_count() -> None:
    """Tasks of an epic are played in planned order with their own lengths; a lower priority goes first."""
    plan = plan_of([1, 5], [1, 1])
    plan.epics[0].tasks[1].priority = 1
    plan.epics[1].priority = 1
    assert play(plan, 1).makespan == 8 * 60
    assert play(plan, 2).makespan == 6 * 60


class TestBoard:
    """The actions of the policy, as the scheduler would apply them."""

    @staticmethod
    def board(*states: "pb.TaskState.ValueType", **changes: Any) -> tuple[Board, EpicView]:
        epic = an_epic("a", *states, **changes)
        return Board(replace(a_snapshot(a_run(epic)), typical_seconds=7.0)), epic

    def test_an_attempt_from_its_start_to_its_end(self) -> None:
        """Only the next attempt can start; its end clears that it was being stopped."""
        board, epic = self.board(pb.TASK_STATE_PENDING)
        name = epic.tasks[0].name
        with pytest.raises(ValueError, match="is not the next of its task"):
            board.act(StartTask(name.attempt(2)))
        board.act(StartTask(name.attempt(1)))
        assert board.epic(epic.name).state == pb.EPIC_STATE_RUNNING
        assert board.live() == [board.task(name)]
        assert (board.task(name).state, board.task(name).attempts) == (pb.TASK_STATE_RUNNING, 1)
        board.act(StopAttempt(name.attempt(1), "why"))
        assert board.task(name).stopping
        board.end_attempt(name, pb.TASK_STATE_PENDING)
        assert (board.task(name).stopping, board.task(name).live_attempt) == (False, None)
        assert board.snapshot.typical_seconds == 7.0

    def test_a_question_is_parked_and_denied(self) -> None:
        """A parked task has no session; a denied one resumes."""
        board, epic = self.board(pb.TASK_STATE_WAITING)
        name = epic.tasks[0].name
        board.change_task(name, parkable=True, overdue=True)
        board.act(ParkAttempt(name.attempt(1)))
        parked = board.task(name)
        assert (parked.state, parked.live_attempt, parked.parkable) == (pb.TASK_STATE_WAITING, None, False)
        board.act(DenyOverdue(name.attempt(1)))
        denied = board.task(name)
        assert (denied.state, denied.resumes, denied.overdue) == (pb.TASK_STATE_PENDING, True, False)

    def test_merges_succeed_or_conflict(self) -> None:
        """A conflict is kept until an agent is to resolve it, in a task of its own."""
        board, epic = self.board(pb.TASK_STATE_ACCEPTED)
        board.act(MergeEpic(epic.name))
        merging = board.epic(epic.name)
        assert (merging.state, merging.merging) == (pb.EPIC_STATE_MERGING, True)
        board.end_merge(epic.name, merged=False)
        ended = board.epic(epic.name)
        assert (ended.merging, ended.merged, ended.conflict) == (False, False, "1 file conflicts")
        board.act(ResolveConflict(epic.name))
        again = board.epic(epic.name)
        assert (again.conflict, again.state) == ("", pb.EPIC_STATE_RUNNING)
        assert [task.name.task for task in again.tasks] == ["t1", "resolve-1"]
        new = again.tasks[-1]
        assert (new.state, new.attempts, new.resolves) == (pb.TASK_STATE_PENDING, 0, True)
        board.end_merge(epic.name, merged=True)
        assert (board.epic(epic.name).merged, board.epic(epic.name).conflict) == (True, "")
        board.act(AwaitMerge(epic.name))
        assert board.epic(epic.name).state == pb.EPIC_STATE_AWAITING_MERGE

    @pytest.mark.parametrize("merged", [True, False])
    def test_a_run_is_merged_and_ends(self, merged: bool) -> None:
        """A run that has ended is no longer in the snapshot."""
        board, _ = self.board(pb.TASK_STATE_ACCEPTED)
        board.act(PauseRun(RUN, "why"))
        assert board.runs[RUN].state == pb.RUN_STATE_PAUSED
        board.act(MergeRun(RUN))
        assert board.runs[RUN].merging_into
        board.end_run_merge(RUN, merged=merged)
        run = board.runs[RUN]
        assert (run.merging_into, run.merged_into, run.merge_into_conflict) == (False, True, not merged)
        end = FinishRun(RUN, pb.RUN_STATE_SUCCEEDED)
        board.act(end)
        assert board.ended == {RUN: end}
        assert board.snapshot.runs == ()


def test_a_simulated_task_waits_for_what_it_needs() -> None:
    """The duration is that of the chain through both epics, in the scheduler's own policy too."""
    plan = pb.Plan(name="Needs")
    for key in ("a", "b"):
        epic = plan.epics.add(key=key)
        for place in range(2):
            epic.tasks.add(key=f"t{place}", prompt="Go").estimate.seconds = 10
    plan.epics[1].tasks[0].needs.append("a/t0")
    plan.epics[0].tasks[1].needs.append("b/t1")
    assert play(plan, 4).makespan == 40.0
