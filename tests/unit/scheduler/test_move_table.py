"""Every move of runs, epics, tasks and attempts: from which statuses it is legal, and what it writes."""

from typing import Any, Final

import pytest

from heddle import pb
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, ENDED_RUN, MergeState
from scheduler_svc.model.lifecycle.status import (
    AttemptStatus,
    EpicStatus,
    IllegalMoveError,
    Move,
    RunStatus,
    TaskStatus,
    wrong_state,
)

# Name | states: merges; … | what it becomes | columns that it resets | the column that gets the time.
# `ended` are all end states, `settled` all merges but one in progress, `pace` what delays the next attempt.
TABLE: Final = """
RUN_START | pending: any | running |  | started_at
RUN_PAUSE | pending running: any | paused | reason held_by
RUN_RESUME | paused: any | running | reason held_by
RUN_RESUME_PENDING | paused: any | pending | reason held_by
RUN_CANCEL | pending running paused: any | cancelling | held_by
RUN_FINISH succeeded | pending running paused: settled | succeeded | reason held_by | ended_at
RUN_FINISH failed | pending running paused: settled | failed | reason held_by | ended_at
RUN_FINISH cancelled | cancelling: settled | cancelled |  | ended_at
RUN_MERGE | pending running paused cancelling: none | merge=merging
RUN_MERGED | pending running paused cancelling: merging | merge=merged | merge_hold
RUN_CONFLICT | pending running paused cancelling: merging | merge=conflicted | merge_hold
RUN_REOPEN | ended: settled | running merge=none | reason ended_at merge_hold
RUN_JUDGE_AGAIN | failed: settled | running | reason ended_at
EPIC_READY | blocked: none | ready
EPIC_BLOCK | ready: none | blocked
EPIC_START | ready: none | running |  | started_at
EPIC_AWAIT_MERGE | blocked ready running: none | awaiting_merge
EPIC_MERGE | blocked ready running awaiting_merge: none | merging merge=merging
EPIC_MERGED | merging: merging | merge=merged | merge_hold reason conflict
EPIC_CONFLICT | merging: merging | merge=conflicted | merge_hold
EPIC_MERGE_FAIL | merging: merging | failed merge=conflicted | merge_hold | ended_at
EPIC_FINISH succeeded | blocked ready running awaiting_merge: none; merging: merged conflicted | succeeded |  | ended_at
EPIC_FINISH failed | blocked ready running awaiting_merge: none; merging: merged conflicted | failed |  | ended_at
EPIC_FINISH conflicted | blocked ready running awaiting_merge: none; merging: merged conflicted | conflicted |  | ended_at
EPIC_FINISH skipped | blocked ready running awaiting_merge: none; merging: merged conflicted | skipped |  | ended_at
EPIC_FINISH cancelled | blocked ready running awaiting_merge: none; merging: merged conflicted | cancelled |  | ended_at
EPIC_FINISH dropped | blocked ready running awaiting_merge: none; merging: merged conflicted | dropped |  | ended_at
EPIC_REOPEN | merging: merged conflicted; ended: settled; awaiting_merge: none | running merge=none | reason ended_at conflict merge_hold merge_wanted=False
EPIC_REOPEN_BLOCKED | merging: merged conflicted; ended: settled; awaiting_merge: none | blocked merge=none | reason ended_at conflict merge_hold merge_wanted=False
EPIC_MERGE_AGAIN | merging ended: conflicted; awaiting_merge dropped: none | running merge=none | reason ended_at conflict merge_hold merge_wanted=True
EPIC_RESOLVE | merging ended: conflicted | running merge=none | reason ended_at conflict merge_hold merge_wanted=True
EPIC_DROP | merging ended: conflicted; awaiting_merge: none | dropped merge=none | merge_hold | ended_at
TASK_START | pending | running | reason
TASK_ASK | running | waiting
TASK_WORK | waiting | running
TASK_ACCEPT | running waiting | accepted | reason review pace
TASK_FAIL | running waiting | failed | review pace
TASK_FAIL_ONCE | running waiting | pending | pace
TASK_REVIEW | running waiting | pending | reason pace
TASK_PARK | running waiting | waiting | reason
TASK_PARK_ANSWERED | running waiting | pending | reason
TASK_SUSPEND | running waiting | pending
TASK_HOLD | running waiting | pending | pace
TASK_ANSWERED | waiting | pending
TASK_LOSE_NEED | pending | failed | review pace
TASK_STOP_PARKED | pending waiting | failed | review
TASK_SKIP | pending | skipped | review
TASK_SKIP_PARKED | pending waiting | skipped | review
TASK_TAKE_OUT | pending waiting failed | skipped | review
TASK_PUT_BACK | skipped | pending | reason chosen
TASK_RETRY | failed skipped | pending | reason skipped_by chosen pace
TASK_REOPEN | accepted failed skipped | pending | reason skipped_by commit_id unchanged accepted_attempt chosen pace
TASK_TRY | pending | running | reason chosen review
TASK_CHOOSE | running waiting | pending | reason review pace
TASK_CHOOSE_UNCOMPARED | pending | pending | reason review pace
TASK_UNCOMPARED | running waiting | running | reason pace
TASK_CHOOSE_AGAIN | failed | pending | reason skipped_by pace
TASK_SKIP_TRIED | running waiting | skipped | review pace
TASK_PASS | running waiting | passed | reason review pace
TASK_WIN | passed | accepted
TASK_TRY_AGAIN | pending accepted failed skipped passed | pending | reason skipped_by score commit_id unchanged accepted_attempt review pace
TASK_OBSOLETE | accepted skipped | skipped | commit_id unchanged accepted_attempt
ATTEMPT_REPORT starting | starting | starting
ATTEMPT_REPORT running | starting running waiting checking | running
ATTEMPT_REPORT waiting | starting running waiting checking | waiting
ATTEMPT_REPORT checking | starting running waiting checking | checking
ATTEMPT_END accepted | starting running waiting checking | accepted |  | ended_at
ATTEMPT_END failed | starting running waiting checking | failed |  | ended_at
ATTEMPT_END stopped | starting running waiting checking | stopped |  | ended_at
ATTEMPT_END lost | starting running waiting checking | lost |  | ended_at
ATTEMPT_END parked | starting running waiting checking | parked |  | ended_at
ATTEMPT_END submitted | starting running waiting checking | submitted |  | ended_at
ATTEMPT_END reviewed | starting running waiting checking | reviewed |  | ended_at
ATTEMPT_DECIDE accepted | submitted | accepted
ATTEMPT_DECIDE failed | submitted | failed
ATTEMPT_DECIDE stopped | submitted | stopped
ATTEMPT_DECIDE not_chosen | submitted | not_chosen
ATTEMPT_STOP_PARKED | parked | stopped
"""

# The value that a column has after a reset.
EMPTY: Final[dict[str, object]] = {
    "reason": "",
    "held_by": "",
    "merge_hold": "",
    "skipped_by": "",
    "commit_id": "",
    "ended_at": None,
    "conflict": None,
    "review": None,
    "accepted_attempt": None,
    "unchanged": False,
    "quick_failures": 0,
    "chosen": 0,
    "score": None,
    "outages": 0,
    "start_after": 0,
}
PACE: Final = ("quick_failures", "outages", "start_after")

KINDS: Final[dict[str, tuple[Any, Any, Any]]] = {
    "RUN": (RunStatus, pb.RunState, transitions.RUN_MOVES),
    "EPIC": (EpicStatus, pb.EpicState, transitions.EPIC_MOVES),
    "TASK": (TaskStatus, pb.TaskState, transitions.TASK_MOVES),
    "ATTEMPT": (AttemptStatus, pb.AttemptState, transitions.ATTEMPT_MOVES),
}
ENDED: Final = {"RUN": ENDED_RUN, "EPIC": ENDED_EPIC}
MERGES: Final = {
    "any": tuple(MergeState),
    "settled": (MergeState.NONE, MergeState.MERGED, MergeState.CONFLICTED),
} | {each.name.lower(): (each,) for each in MergeState}

ROWS: Final = [
    [cell.strip() for cell in f"{line} | | |".split("|")][:5] for line in TABLE.strip().splitlines()
]


def moves() -> dict[str, Move[Any]]:
    """Returns the moves by name; one of a group has its state's name after that of the group."""
    found: dict[str, Move[Any]] = {}
    for name, value in vars(transitions).items():
        if isinstance(value, Move):
            found[name] = value
        elif isinstance(value, dict) and not name.startswith("_"):
            enum = KINDS[name.partition("_")[0]][1]
            found |= {f"{name} {word(enum, state)}": move for state, move in value.items()}
    return found


def word(enum: Any, state: int) -> str:
    return str(enum.Name(state)).partition("_STATE_")[2].lower()


def statuses(kind: str, text: str) -> set[Any]:
    status, enum, _ = KINDS[kind]
    found = set()
    for part in text.split(";"):
        names, _, merges = part.partition(":")
        states = [
            state
            for name in names.split()
            for state in (ENDED[kind] if name == "ended" else [enum.Value(f"{kind}_STATE_{name.upper()}")])
        ]
        if merges:
            found |= {
                status(state, merge) for state in states for each in merges.split() for merge in MERGES[each]
            }
        else:
            found |= {status(state) for state in states}
    return found


def written(kind: str, becomes: str, resets: str, stamp: str) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name in resets.split():
        column, _, value = name.partition("=")
        if column == "pace":
            columns |= {each: EMPTY[each] for each in PACE}
        else:
            columns[column] = value == "True" if value else EMPTY[column]
    for name in becomes.split():
        if name.startswith("merge="):
            columns["merge_state"] = MERGES[name.removeprefix("merge=")][0]
        else:
            columns["state"] = KINDS[kind][1].Value(f"{kind}_STATE_{name.upper()}")
    return columns | ({stamp: 7} if stamp else {})


def test_the_table_has_every_move() -> None:
    """No move is missing here, and each is once in the list of its kind."""
    found = moves()
    assert {name for name, *_ in ROWS} == set(found)
    for kind, (_, _, listed) in KINDS.items():
        named = [move for name, move in found.items() if name.startswith(f"{kind}_")]
        assert sorted(map(id, listed)) == sorted(map(id, named))


@pytest.mark.parametrize(("name", "sources", "becomes", "resets", "stamp"), ROWS, ids=lambda cell: cell)
def test_a_move(name: str, sources: str, becomes: str, resets: str, stamp: str) -> None:
    """A move is legal from exactly these statuses, and writes exactly these columns."""
    kind = name.partition("_")[0]
    move = moves()[name]
    assert move.sources == statuses(kind, sources)
    assert move.columns(now=7) == written(kind, becomes, resets, stamp)
    if stamp:
        with pytest.raises(ValueError, match="needs the time"):
            move.columns()
    else:
        assert move.columns() == move.columns(now=7)


def test_an_epic_is_closed_if_it_must_be_reopened_first() -> None:
    """Ended epics and those that wait for their merge are closed; epics that work or merge now are open."""
    assert transitions.is_closed(EpicStatus(pb.EPIC_STATE_AWAITING_MERGE))
    assert transitions.is_closed(EpicStatus(pb.EPIC_STATE_DROPPED, MergeState.CONFLICTED))
    assert not transitions.is_closed(EpicStatus(pb.EPIC_STATE_RUNNING))
    assert not transitions.is_closed(EpicStatus(pb.EPIC_STATE_MERGING, MergeState.MERGING))


def test_a_refusal_names_the_state() -> None:
    """An illegal move and a refused operation report the resource, its state as a word, and the state as metadata."""
    with pytest.raises(IllegalMoveError) as caught:
        transitions.RUN_START.after(RunStatus(pb.RUN_STATE_CANCELLING), "runs/r")
    assert caught.value.message.startswith("runs/r is cancelling: starting is not possible from there")
    assert caught.value.metadata == {"state": "RUN_STATE_CANCELLING"}
    refused = wrong_state("runs/r", "RUN_STATE_PAUSED", "resume it first")
    assert refused.message == "runs/r is paused: resume it first"
    assert refused.reason == pb.ERROR_REASON_WRONG_STATE
    assert refused.metadata == {"state": "RUN_STATE_PAUSED"}
