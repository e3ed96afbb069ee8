"""What each move of the table writes to a row: its status, its time and the columns that it resets."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import IllegalMoveError, Move
from scheduler_svc.store.db import tables
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.rows.moves import make_move, try_move
from tests.integration.scheduler.test_store import start_attempt

RUN = RunName("sample")
EPIC = RUN.epic("a")
TASK = EPIC.task("one")
ATTEMPT = AttemptName("sample", "a", "one", 1)

# Of each kind: a row, its table, its moves, and outdated values of the columns that moves reset or stamp.
KINDS: dict[str, tuple[Any, sa.Table, Sequence[Move[Any]], dict[str, object]]] = {
    "run": (
        RUN,
        tables.runs,
        transitions.RUN_MOVES,
        {"reason": "old", "held_by": "old", "merge_hold": "old", "started_at": 3, "ended_at": 4},
    ),
    "epic": (
        EPIC,
        tables.epics,
        transitions.EPIC_MOVES,
        {
            "reason": "old",
            "conflict": b"old",
            "merge_hold": "old",
            "merge_wanted": None,
            "started_at": 3,
            "ended_at": 4,
        },
    ),
    "task": (
        TASK,
        tables.tasks,
        transitions.TASK_MOVES,
        {
            "reason": "old",
            "skipped_by": "old",
            "commit_id": "old",
            "unchanged": True,
            "accepted_attempt": 6,
            "review": b"old",
            "quick_failures": 7,
            "outages": 8,
            "start_after": 9,
            "chosen": 2,
            "score": 1.5,
        },
    ),
    "attempt": (ATTEMPT, tables.attempts, transitions.ATTEMPT_MOVES, {"ended_at": 4}),
}

UNPAUSED: dict[str, object] = {"reason": "", "held_by": ""}
OPEN_AGAIN: dict[str, object] = {"reason": "", "conflict": None, "merge_hold": "", "ended_at": None}
PACE: dict[str, object] = {"quick_failures": 0, "outages": 0, "start_after": 0}
RESULT: dict[str, object] = {"commit_id": "", "unchanged": False, "accepted_attempt": None}
DECIDED: dict[str, object] = {"review": None}
UNCHOSEN: dict[str, object] = {"chosen": 0}

# What each move resets. A move that is not listed resets nothing.
RESETS: dict[Move[Any], dict[str, object]] = {
    transitions.RUN_PAUSE: UNPAUSED,
    transitions.RUN_RESUME: UNPAUSED,
    transitions.RUN_RESUME_PENDING: UNPAUSED,
    # The reason for the cancellation is given with the move.
    transitions.RUN_CANCEL: {"held_by": ""},
    transitions.RUN_FINISH[pb.RUN_STATE_SUCCEEDED]: UNPAUSED,
    transitions.RUN_FINISH[pb.RUN_STATE_FAILED]: UNPAUSED,
    transitions.RUN_MERGED: {"merge_hold": ""},
    transitions.RUN_CONFLICT: {"merge_hold": ""},
    transitions.RUN_REOPEN: {"reason": "", "merge_hold": "", "ended_at": None},
    transitions.RUN_JUDGE_AGAIN: {"reason": "", "ended_at": None},
    transitions.EPIC_MERGED: {"reason": "", "conflict": None, "merge_hold": ""},
    transitions.EPIC_CONFLICT: {"merge_hold": ""},
    transitions.EPIC_MERGE_FAIL: {"merge_hold": ""},
    transitions.EPIC_REOPEN: {**OPEN_AGAIN, "merge_wanted": False},
    transitions.EPIC_REOPEN_BLOCKED: {**OPEN_AGAIN, "merge_wanted": False},
    transitions.EPIC_MERGE_AGAIN: {**OPEN_AGAIN, "merge_wanted": True},
    transitions.EPIC_RESOLVE: {**OPEN_AGAIN, "merge_wanted": True},
    transitions.EPIC_DROP: {"merge_hold": ""},
    transitions.TASK_START: {"reason": ""},
    transitions.TASK_ACCEPT: {"reason": "", **PACE, **DECIDED},
    transitions.TASK_FAIL: {**PACE, **DECIDED},
    transitions.TASK_FAIL_ONCE: PACE,
    transitions.TASK_HOLD: PACE,
    transitions.TASK_REVIEW: {"reason": "", **PACE},
    transitions.TASK_LOSE_NEED: {**PACE, **DECIDED},
    transitions.TASK_STOP_PARKED: DECIDED,
    transitions.TASK_SKIP: DECIDED,
    transitions.TASK_SKIP_PARKED: DECIDED,
    transitions.TASK_TRY: {"reason": "", **UNCHOSEN, **DECIDED},
    transitions.TASK_CHOOSE: {"reason": "", **PACE, **DECIDED},
    transitions.TASK_CHOOSE_UNCOMPARED: {"reason": "", **PACE, **DECIDED},
    transitions.TASK_UNCOMPARED: {"reason": "", **PACE},
    transitions.TASK_CHOOSE_AGAIN: {"reason": "", "skipped_by": "", **PACE},
    transitions.TASK_SKIP_TRIED: {**PACE, **DECIDED},
    transitions.TASK_PASS: {"reason": "", **PACE, **DECIDED},
    transitions.TASK_TRY_AGAIN: {"reason": "", "skipped_by": "", "score": None, **RESULT, **PACE, **DECIDED},
    transitions.TASK_TAKE_OUT: DECIDED,
    transitions.TASK_PARK: {"reason": ""},
    transitions.TASK_PARK_ANSWERED: {"reason": ""},
    transitions.TASK_PUT_BACK: {"reason": "", **UNCHOSEN},
    transitions.TASK_RETRY: {"reason": "", "skipped_by": "", **PACE, **UNCHOSEN},
    transitions.TASK_REOPEN: {"reason": "", "skipped_by": "", **RESULT, **PACE, **UNCHOSEN},
    transitions.TASK_OBSOLETE: RESULT,
}

# The column that gets the time of the move.
STAMPS: dict[Move[Any], str] = {
    transitions.RUN_START: "started_at",
    transitions.EPIC_START: "started_at",
    transitions.EPIC_MERGE_FAIL: "ended_at",
    transitions.EPIC_DROP: "ended_at",
    **dict.fromkeys(transitions.RUN_FINISH.values(), "ended_at"),
    **dict.fromkeys(transitions.EPIC_FINISH.values(), "ended_at"),
    **dict.fromkeys(transitions.ATTEMPT_END.values(), "ended_at"),
}

EVERY = [
    pytest.param(kind, move, id=f"{kind}-{place}-{move.event.replace(' ', '_')}")
    for kind, (_, _, moves, _) in KINDS.items()
    for place, move in enumerate(moves)
]


async def fill(url: str) -> None:
    """Writes a run whose first task has an attempt."""
    database = Database(url, Doorbell())
    await database.open()
    await start_attempt(database)
    await database.close()


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('moves') / 'heddle.db'}"
    asyncio.run(fill(url))
    engine = open_engine(url)
    yield engine
    engine.dispose()


def where(table: sa.Table, name: Any) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == value for column, value in zip(table.primary_key.columns, name, strict=True)))


def outdated(kind: str, move: Move[Any]) -> dict[str, object]:
    """Returns the old values of a row, none of which is what the move resets it to."""
    old = dict(KINDS[kind][3])
    if "merge_wanted" in old:
        old["merge_wanted"] = not RESETS.get(move, {}).get("merge_wanted", True)
    return old


@pytest.mark.parametrize(("kind", "move"), EVERY)
def test_what_a_move_writes(engine: sa.Engine, kind: str, move: Move[Any]) -> None:
    """A move resets exactly its columns, stamps its time, and keeps every other value, from every source."""
    name, table, _, _ = KINDS[kind]
    old = outdated(kind, move)
    stamp = {STAMPS[move]: 77} if move in STAMPS else {}
    for source in move.sources:
        with engine.connect() as connection:
            connection.execute(sa.update(table).where(where(table, name)).values(**old, **source._asdict()))
            make_move(connection, table, name, move, now=77)
            row = connection.execute(sa.select(table).where(where(table, name))).one()._asdict()
            connection.rollback()
        status = {**source._asdict(), **move.to}
        written = {**old, **RESETS.get(move, {}), **stamp, **status}
        assert {column: row[column] for column in written} == written, source


@pytest.mark.parametrize(("kind", "move"), EVERY)
def test_a_row_in_another_state_is_not_changed(engine: sa.Engine, kind: str, move: Move[Any]) -> None:
    """From a status that does not allow the move, nothing is written."""
    name, table, moves, _ = KINDS[kind]
    every = {status for each in moves for status in each.sources}
    old = outdated(kind, move)
    for source in every - move.sources:
        with engine.connect() as connection:
            connection.execute(sa.update(table).where(where(table, name)).values(**old, **source._asdict()))
            before = connection.execute(sa.select(table).where(where(table, name))).one()
            assert not try_move(connection, table, name, move, now=77)
            with pytest.raises(IllegalMoveError):
                make_move(connection, table, name, move, now=77)
            assert connection.execute(sa.select(table).where(where(table, name))).one() == before
            connection.rollback()


def test_every_column_that_a_move_resets_is_looked_at() -> None:
    """A column that a new move resets or stamps has an outdated value here."""
    for _, _, moves, old in KINDS.values():
        used = {column for move in moves for column in (*move.resets, move.stamp)} - {""}
        assert used <= old.keys()
