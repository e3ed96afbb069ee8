"""After any sequence of moves, a row has a legal status and no outdated values."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle import pb
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, ENDED_RUN, MergeState
from scheduler_svc.model.lifecycle.status import (
    STATES,
    AttemptStatus,
    EpicStatus,
    IllegalMoveError,
    Move,
    RunStatus,
    TaskStatus,
)
from scheduler_svc.model.lifecycle.transitions import ATTEMPT_MOVES, EPIC_MOVES, RUN_MOVES, TASK_MOVES
from scheduler_svc.store.db import tables

Row = dict[str, Any]

# By kind: its first status, its moves, and its table.
KINDS: dict[str, tuple[Any, Sequence[Move[Any]], Any]] = {
    "run": (RunStatus(pb.RUN_STATE_PENDING), RUN_MOVES, tables.runs),
    "epic": (EpicStatus(pb.EPIC_STATE_BLOCKED), EPIC_MOVES, tables.epics),
    "task": (TaskStatus(pb.TASK_STATE_PENDING), TASK_MOVES, tables.tasks),
    "attempt": (AttemptStatus(pb.ATTEMPT_STATE_STARTING), ATTEMPT_MOVES, tables.attempts),
}

ENDED: dict[str, set[int]] = {
    "run": set(ENDED_RUN),
    "epic": set(ENDED_EPIC),
    "task": {pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED},
    "attempt": {
        pb.ATTEMPT_STATE_ACCEPTED,
        pb.ATTEMPT_STATE_FAILED,
        pb.ATTEMPT_STATE_STOPPED,
        pb.ATTEMPT_STATE_LOST,
    },
}

# The moves that leave an end status, requested by an operator or by the retry of a failed setup.
REOPENS: dict[str, set[Move[Any]]] = {
    "run": {transitions.RUN_REOPEN, transitions.RUN_JUDGE_AGAIN},
    "epic": {
        transitions.EPIC_REOPEN,
        transitions.EPIC_REOPEN_BLOCKED,
        transitions.EPIC_MERGE_AGAIN,
        transitions.EPIC_RESOLVE,
    },
    "task": {
        transitions.TASK_RETRY,
        transitions.TASK_REOPEN,
        transitions.TASK_PUT_BACK,
        transitions.TASK_CHOOSE_AGAIN,
        transitions.TASK_TRY_AGAIN,
    },
    "attempt": set(),
}


def walk(data: st.DataObject, kind: str) -> None:
    """Makes random moves; before each one, fills all columns that moves may reset."""
    status, moves, _ = KINDS[kind]
    # Each column has either its initial value or `old`.
    row: Row = {**status._asdict(), "ended_at": None}
    for now in range(1, data.draw(st.integers(1, 25), label="moves") + 1):
        move = data.draw(st.sampled_from(moves), label="move")
        if status not in move.sources:
            with pytest.raises(IllegalMoveError) as raised:
                move.after(status, "runs/r")
            assert raised.value.reason == pb.ERROR_REASON_WRONG_STATE
            assert move.event in raised.value.message
            continue
        before, status = status, move.after(status)
        for column in {column for each in moves for column in each.resets} - {"ended_at"}:
            row[column] = "old"
        row |= move.columns(now)
        assert all(row[column] == value for column, value in zip(status._fields, status, strict=True))
        check_reopening(kind, move, before, status)
        check_content(kind, status, before, row)
        check_task(kind, before, status, row)


def check_reopening(kind: str, move: Move[Any], before: Any, status: Any) -> None:
    """Fails unless every move out of an end status is one that reopens."""
    if before.state in ENDED[kind] and status.state not in ENDED[kind]:
        assert move in REOPENS[kind]


def check_content(kind: str, status: Any, before: Any, row: Row) -> None:
    """Fails unless the values of a row match its status."""
    ended = status.state in ENDED[kind]
    if kind in {"run", "epic"}:
        assert (row["ended_at"] is not None) == ended, f"{before} to {status}"
        if status.merge_state not in {MergeState.MERGING, before.merge_state}:
            assert not row["merge_hold"], "a merge that is over waits for nothing"
        if before.state in ENDED[kind] and not ended:
            assert not row["reason"], "it is open again, so it has no reason for its end"
    if kind == "epic":
        assert (status.merge_state == MergeState.MERGING) <= (status.state == pb.EPIC_STATE_MERGING)
        if status.state in {pb.EPIC_STATE_BLOCKED, pb.EPIC_STATE_RUNNING} and before.state in ENDED[kind]:
            assert row["conflict"] is None
            assert isinstance(row["merge_wanted"], bool)
    if kind == "run" and before.state == pb.RUN_STATE_PAUSED and status.state != pb.RUN_STATE_PAUSED:
        assert not row["held_by"], "no hold keeps a run that is not paused"
    if kind == "attempt" and (ended or status.state == pb.ATTEMPT_STATE_PARKED):
        assert row["ended_at"] is not None


def check_task(kind: str, before: Any, status: Any, row: Row) -> None:
    """Fails if a task that can run again contains values from its last end."""
    if kind == "task" and before.state in ENDED[kind] and status.state == pb.TASK_STATE_PENDING:
        assert not row["reason"]
        if before.state == pb.TASK_STATE_ACCEPTED:
            assert not row["commit_id"]
            assert row["unchanged"] is False
        if before.state == pb.TASK_STATE_FAILED:
            assert not row["skipped_by"]
            assert row["start_after"] == row["quick_failures"] == row["outages"] == 0


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_random_walk(kind: str, data: st.DataObject) -> None:
    """In any sequence, an illegal move raises, and a legal one leaves no outdated value."""
    walk(data, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_can_be_reached(kind: str) -> None:
    """The table contains every state of the API's enum, and each move is possible in some history."""
    first, moves, _ = KINDS[kind]
    reached = {first}
    while new := {move.after(status) for move in moves for status in reached & move.sources} - reached:
        reached |= new
    states = set(STATES[type(first)].values()) - {0}
    assert {status.state for status in reached} == states
    assert all(move.sources & reached for move in moves)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_those_of_the_table(kind: str) -> None:
    """Every column that a move writes exists, and a state column is never only reset."""
    _, moves, table = KINDS[kind]
    for move in moves:
        assert {*move.columns(now=1)} <= {column.name for column in table.columns}
        assert not {*move.resets} & {"state", "merge_state"}
