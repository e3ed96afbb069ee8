"""The legal moves of runs, epics, tasks, attempts and merges, and the columns that each one resets. Pure.

The modules of `store/rows` write every change of a status as one of the moves below, and only
from one of the move's source statuses.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

from heddle import pb
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, ENDED_RUN, MergeState
from scheduler_svc.model.lifecycle.status import AttemptStatus, EpicStatus, Move, RunStatus, TaskStatus, Value

_NONE: Final = MergeState.NONE
_MERGING: Final = MergeState.MERGING
_MERGED: Final = MergeState.MERGED
_CONFLICTED: Final = MergeState.CONFLICTED

# No merge is in progress.
_SETTLED: Final = (_NONE, _MERGED, _CONFLICTED)


def _runs(
    states: Iterable["pb.RunState.ValueType"], merges: Iterable[MergeState] = MergeState
) -> frozenset[RunStatus]:
    return frozenset(RunStatus(*each) for each in product(states, merges))


_OPEN_RUN: Final = (pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING, pb.RUN_STATE_PAUSED)
_UNPAUSED: Final = {"reason": "", "held_by": ""}

RUN_START: Final = Move(
    "starting", _runs([pb.RUN_STATE_PENDING]), {"state": pb.RUN_STATE_RUNNING}, stamp="started_at"
)
RUN_PAUSE: Final = Move(
    "pausing",
    _runs([pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING]),
    {"state": pb.RUN_STATE_PAUSED},
    _UNPAUSED,
)
RUN_RESUME: Final = Move("resuming", _runs([pb.RUN_STATE_PAUSED]), {"state": pb.RUN_STATE_RUNNING}, _UNPAUSED)
# No task of the run has started.
RUN_RESUME_PENDING: Final = Move(
    "resuming", _runs([pb.RUN_STATE_PAUSED]), {"state": pb.RUN_STATE_PENDING}, _UNPAUSED
)
RUN_CANCEL: Final = Move("cancelling", _runs(_OPEN_RUN), {"state": pb.RUN_STATE_CANCELLING}, {"held_by": ""})
RUN_FINISH: Final = {
    pb.RUN_STATE_SUCCEEDED: Move(
        "succeeding", _runs(_OPEN_RUN, _SETTLED), {"state": pb.RUN_STATE_SUCCEEDED}, _UNPAUSED, "ended_at"
    ),
    pb.RUN_STATE_FAILED: Move(
        "failing", _runs(_OPEN_RUN, _SETTLED), {"state": pb.RUN_STATE_FAILED}, _UNPAUSED, "ended_at"
    ),
    # The reason for the cancellation stays.
    pb.RUN_STATE_CANCELLED: Move(
        "the end of a cancellation",
        _runs([pb.RUN_STATE_CANCELLING], _SETTLED),
        {"state": pb.RUN_STATE_CANCELLED},
        stamp="ended_at",
    ),
}
RUN_MERGE: Final = Move(
    "merging", _runs((*_OPEN_RUN, pb.RUN_STATE_CANCELLING), [_NONE]), {"merge_state": _MERGING}
)
RUN_MERGED: Final = Move(
    "the end of a merge",
    _runs((*_OPEN_RUN, pb.RUN_STATE_CANCELLING), [_MERGING]),
    {"merge_state": _MERGED},
    {"merge_hold": ""},
)
RUN_CONFLICT: Final = Move(
    "a merge conflict",
    _runs((*_OPEN_RUN, pb.RUN_STATE_CANCELLING), [_MERGING]),
    {"merge_state": _CONFLICTED},
    {"merge_hold": ""},
)
RUN_REOPEN: Final = Move(
    "reopening",
    _runs(ENDED_RUN, _SETTLED),
    {"state": pb.RUN_STATE_RUNNING, "merge_state": _NONE},
    {"reason": "", "ended_at": None, "merge_hold": ""},
)
# What was merged stays merged.
RUN_JUDGE_AGAIN: Final = Move(
    "judging again",
    _runs([pb.RUN_STATE_FAILED], _SETTLED),
    {"state": pb.RUN_STATE_RUNNING},
    {"reason": "", "ended_at": None},
)
RUN_MOVES: Final[tuple[Move[RunStatus], ...]] = (
    RUN_START,
    RUN_PAUSE,
    RUN_RESUME,
    RUN_RESUME_PENDING,
    RUN_CANCEL,
    *RUN_FINISH.values(),
    RUN_MERGE,
    RUN_MERGED,
    RUN_CONFLICT,
    RUN_REOPEN,
    RUN_JUDGE_AGAIN,
)


def _epics(
    states: Iterable["pb.EpicState.ValueType"], merges: Iterable[MergeState] = (_NONE,)
) -> frozenset[EpicStatus]:
    return frozenset(EpicStatus(*each) for each in product(states, merges))


_BEFORE_MERGE: Final = (pb.EPIC_STATE_BLOCKED, pb.EPIC_STATE_READY, pb.EPIC_STATE_RUNNING)
_OPEN_EPIC: Final = _epics((*_BEFORE_MERGE, pb.EPIC_STATE_AWAITING_MERGE)) | _epics(
    [pb.EPIC_STATE_MERGING], [_MERGED, _CONFLICTED]
)
_MERGES: Final = _epics([pb.EPIC_STATE_MERGING], [_MERGING])
_CLOSED: Final = (
    _epics(ENDED_EPIC, _SETTLED)
    | _epics([pb.EPIC_STATE_AWAITING_MERGE])
    | _epics([pb.EPIC_STATE_MERGING], [_MERGED, _CONFLICTED])
)
_CONFLICTS: Final = _epics((*ENDED_EPIC, pb.EPIC_STATE_MERGING), [_CONFLICTED])

EPIC_READY: Final = Move("becoming ready", _epics([pb.EPIC_STATE_BLOCKED]), {"state": pb.EPIC_STATE_READY})
# It gets a dependency before it starts.
EPIC_BLOCK: Final = Move("being blocked", _epics([pb.EPIC_STATE_READY]), {"state": pb.EPIC_STATE_BLOCKED})
EPIC_START: Final = Move(
    "starting", _epics([pb.EPIC_STATE_READY]), {"state": pb.EPIC_STATE_RUNNING}, stamp="started_at"
)
EPIC_AWAIT_MERGE: Final = Move(
    "waiting for the merge", _epics(_BEFORE_MERGE), {"state": pb.EPIC_STATE_AWAITING_MERGE}
)
EPIC_MERGE: Final = Move(
    "merging",
    _epics((*_BEFORE_MERGE, pb.EPIC_STATE_AWAITING_MERGE)),
    {"state": pb.EPIC_STATE_MERGING, "merge_state": _MERGING},
)
EPIC_MERGED: Final = Move(
    "the end of a merge",
    _MERGES,
    {"merge_state": _MERGED},
    {"merge_hold": "", "reason": "", "conflict": None},
)
EPIC_CONFLICT: Final = Move("a merge conflict", _MERGES, {"merge_state": _CONFLICTED}, {"merge_hold": ""})
EPIC_MERGE_FAIL: Final = Move(
    "the failure of a merge",
    _MERGES,
    {"state": pb.EPIC_STATE_FAILED, "merge_state": _CONFLICTED},
    {"merge_hold": ""},
    "ended_at",
)
EPIC_FINISH: Final = {
    state: Move(f"ending as {pb.EpicState.Name(state)}", _OPEN_EPIC, {"state": state}, stamp="ended_at")
    for state in ENDED_EPIC
}
_REOPENED: Final[dict[str, Value]] = {"reason": "", "ended_at": None, "conflict": None, "merge_hold": ""}
EPIC_REOPEN: Final = Move(
    "reopening",
    _CLOSED,
    {"state": pb.EPIC_STATE_RUNNING, "merge_state": _NONE},
    _REOPENED | {"merge_wanted": False},
)
# No task of the epic has started: the epic may still wait for a dependency.
EPIC_REOPEN_BLOCKED: Final = Move(
    "reopening",
    _CLOSED,
    {"state": pb.EPIC_STATE_BLOCKED, "merge_state": _NONE},
    _REOPENED | {"merge_wanted": False},
)
EPIC_MERGE_AGAIN: Final = Move(
    "merging again",
    _CONFLICTS | _epics([pb.EPIC_STATE_AWAITING_MERGE, pb.EPIC_STATE_DROPPED]),
    {"state": pb.EPIC_STATE_RUNNING, "merge_state": _NONE},
    _REOPENED | {"merge_wanted": True},
)
EPIC_RESOLVE: Final = Move(
    "resolving a conflict",
    _CONFLICTS,
    {"state": pb.EPIC_STATE_RUNNING, "merge_state": _NONE},
    _REOPENED | {"merge_wanted": True},
)
EPIC_DROP: Final = Move(
    "dropping",
    _CONFLICTS | _epics([pb.EPIC_STATE_AWAITING_MERGE]),
    {"state": pb.EPIC_STATE_DROPPED, "merge_state": _NONE},
    {"merge_hold": ""},
    "ended_at",
)
EPIC_MOVES: Final[tuple[Move[EpicStatus], ...]] = (
    EPIC_READY,
    EPIC_BLOCK,
    EPIC_START,
    EPIC_AWAIT_MERGE,
    EPIC_MERGE,
    EPIC_MERGED,
    EPIC_CONFLICT,
    EPIC_MERGE_FAIL,
    *EPIC_FINISH.values(),
    EPIC_REOPEN,
    EPIC_REOPEN_BLOCKED,
    EPIC_MERGE_AGAIN,
    EPIC_RESOLVE,
    EPIC_DROP,
)


def is_closed(status: EpicStatus) -> bool:
    """Returns whether an epic must be reopened before another of its tasks can run."""
    return status in EPIC_REOPEN.sources


def _tasks(*states: "pb.TaskState.ValueType") -> frozenset[TaskStatus]:
    return frozenset(map(TaskStatus, states))


_PENDING: Final = pb.TASK_STATE_PENDING
_RUNNING: Final = pb.TASK_STATE_RUNNING
_WAITING: Final = pb.TASK_STATE_WAITING
_ACCEPTED: Final = pb.TASK_STATE_ACCEPTED
_FAILED: Final = pb.TASK_STATE_FAILED
_SKIPPED: Final = pb.TASK_STATE_SKIPPED
_PASSED: Final = pb.TASK_STATE_PASSED

# The columns that delay its next attempt.
_PACE: Final[Mapping[str, Value]] = {"quick_failures": 0, "outages": 0, "start_after": 0}
_RESULT: Final[Mapping[str, Value]] = {"commit_id": "", "unchanged": False, "accepted_attempt": None}
# Its work is no longer under review.
_DECIDED: Final[Mapping[str, Value]] = {"review": None}
_LIVE: Final = _tasks(_RUNNING, _WAITING)

# The candidates of its last round count no longer.
_UNCHOSEN: Final[Mapping[str, Value]] = {"chosen": 0}

TASK_START: Final = Move("starting", _tasks(_PENDING), {"state": _RUNNING}, {"reason": ""})
TASK_ASK: Final = Move("a question", _tasks(_RUNNING), {"state": _WAITING})
TASK_WORK: Final = Move("working with an answer", _tasks(_WAITING), {"state": _RUNNING})
TASK_ACCEPT: Final = Move("accepting", _LIVE, {"state": _ACCEPTED}, {"reason": "", **_PACE, **_DECIDED})
TASK_FAIL: Final = Move("failing", _LIVE, {"state": _FAILED}, {**_PACE, **_DECIDED})
# The task gets another attempt.
TASK_FAIL_ONCE: Final = Move("failing", _LIVE, {"state": _PENDING}, _PACE)
# Another attempt reviews its work, or fixes what a review found.
TASK_REVIEW: Final = Move("a review", _LIVE, {"state": _PENDING}, {"reason": "", **_PACE})
# The task's session has ended while its question is open.
TASK_PARK: Final = Move("parking", _LIVE, {"state": _WAITING}, {"reason": ""})
TASK_PARK_ANSWERED: Final = Move("parking", _LIVE, {"state": _PENDING}, {"reason": ""})
TASK_SUSPEND: Final = Move("waiting for the provider", _LIVE, {"state": _PENDING})
# The project's branch conflicts with its epic, and the operator decides.
TASK_HOLD: Final = Move("waiting for the operator", _LIVE, {"state": _PENDING}, _PACE)
TASK_ANSWERED: Final = Move("the last answer to a parked session", _tasks(_WAITING), {"state": _PENDING})
# A task that it needs was not accepted.
TASK_LOSE_NEED: Final = Move("failing", _tasks(_PENDING), {"state": _FAILED}, {**_PACE, **_DECIDED})
TASK_STOP_PARKED: Final = Move("stopping", _tasks(_PENDING, _WAITING), {"state": _FAILED}, _DECIDED)
TASK_SKIP: Final = Move("skipping", _tasks(_PENDING), {"state": _SKIPPED}, _DECIDED)
TASK_SKIP_PARKED: Final = Move("skipping", _tasks(_PENDING, _WAITING), {"state": _SKIPPED}, _DECIDED)
# Its candidates start. It stays RUNNING without an attempt until one of them is chosen or none is left.
TASK_TRY: Final = Move(
    "starting", _tasks(_PENDING), {"state": _RUNNING}, {"reason": "", **_UNCHOSEN, **_DECIDED}
)
# Its next attempt takes over the work of the chosen candidate. The choice was already made if the last such attempt
# failed.
TASK_CHOOSE: Final = Move(
    "the choice of a candidate", _LIVE, {"state": _PENDING}, {"reason": "", **_PACE, **_DECIDED}
)
# No agent has begun to compare its candidates.
TASK_CHOOSE_UNCOMPARED: Final = Move(
    "the choice of a candidate", _tasks(_PENDING), {"state": _PENDING}, {"reason": "", **_PACE, **_DECIDED}
)
# The agent that compared its candidates chose none: its score or a person decides.
TASK_UNCOMPARED: Final = Move(
    "a comparison without a result", _LIVE, {"state": _RUNNING}, {"reason": "", **_PACE}
)
TASK_CHOOSE_AGAIN: Final = Move(
    "the choice of a candidate",
    _tasks(_FAILED),
    {"state": _PENDING},
    {"reason": "", "skipped_by": "", **_PACE},
)
TASK_SKIP_TRIED: Final = Move("skipping", _LIVE, {"state": _SKIPPED}, {**_PACE, **_DECIDED})
# A candidate.
TASK_PASS: Final = Move("passing", _LIVE, {"state": _PASSED}, {"reason": "", **_PACE, **_DECIDED})
TASK_WIN: Final = Move("accepting", _tasks(_PASSED), {"state": _ACCEPTED})
TASK_TRY_AGAIN: Final = Move(
    "starting again",
    _tasks(_PENDING, _ACCEPTED, _FAILED, _SKIPPED, _PASSED),
    {"state": _PENDING},
    {"reason": "", "skipped_by": "", "score": None, **_RESULT, **_PACE, **_DECIDED},
)
# The operator may also skip a failed task.
TASK_TAKE_OUT: Final = Move("skipping", _tasks(_PENDING, _WAITING, _FAILED), {"state": _SKIPPED}, _DECIDED)
TASK_PUT_BACK: Final = Move(
    "putting back", _tasks(_SKIPPED), {"state": _PENDING}, {"reason": "", **_UNCHOSEN}
)
TASK_RETRY: Final = Move(
    "retrying",
    _tasks(_FAILED, _SKIPPED),
    {"state": _PENDING},
    {"reason": "", "skipped_by": "", **_PACE, **_UNCHOSEN},
)
# The task's commit is set aside.
TASK_REOPEN: Final = Move(
    "reopening",
    _tasks(_ACCEPTED, _FAILED, _SKIPPED),
    {"state": _PENDING},
    {"reason": "", "skipped_by": "", **_RESULT, **_PACE, **_UNCHOSEN},
)
# The task resolved a conflict of work that is set aside.
TASK_OBSOLETE: Final = Move("skipping", _tasks(_ACCEPTED, _SKIPPED), {"state": _SKIPPED}, _RESULT)
TASK_MOVES: Final[tuple[Move[TaskStatus], ...]] = (
    TASK_START,
    TASK_ASK,
    TASK_WORK,
    TASK_ACCEPT,
    TASK_FAIL,
    TASK_FAIL_ONCE,
    TASK_REVIEW,
    TASK_PARK,
    TASK_PARK_ANSWERED,
    TASK_SUSPEND,
    TASK_HOLD,
    TASK_ANSWERED,
    TASK_LOSE_NEED,
    TASK_STOP_PARKED,
    TASK_SKIP,
    TASK_SKIP_PARKED,
    TASK_TRY,
    TASK_CHOOSE,
    TASK_CHOOSE_UNCOMPARED,
    TASK_UNCOMPARED,
    TASK_CHOOSE_AGAIN,
    TASK_SKIP_TRIED,
    TASK_PASS,
    TASK_WIN,
    TASK_TRY_AGAIN,
    TASK_TAKE_OUT,
    TASK_PUT_BACK,
    TASK_RETRY,
    TASK_REOPEN,
    TASK_OBSOLETE,
)


def _attempts(*states: "pb.AttemptState.ValueType") -> frozenset[AttemptStatus]:
    return frozenset(map(AttemptStatus, states))


_LIVE_ATTEMPT: Final = (
    pb.ATTEMPT_STATE_STARTING,
    pb.ATTEMPT_STATE_RUNNING,
    pb.ATTEMPT_STATE_WAITING,
    pb.ATTEMPT_STATE_CHECKING,
)

# Reports of the session, by the state that they give the attempt.
ATTEMPT_REPORT: Final = {
    state: Move(
        f"a report that it is {pb.AttemptState.Name(state)}",
        _attempts(*_LIVE_ATTEMPT) if state != pb.ATTEMPT_STATE_STARTING else _attempts(state),
        {"state": state},
    )
    for state in _LIVE_ATTEMPT
}
ATTEMPT_END: Final = {
    state: Move(
        f"ending as {pb.AttemptState.Name(state)}",
        _attempts(*_LIVE_ATTEMPT),
        {"state": state},
        stamp="ended_at",
    )
    for state in (
        pb.ATTEMPT_STATE_ACCEPTED,
        pb.ATTEMPT_STATE_FAILED,
        pb.ATTEMPT_STATE_STOPPED,
        pb.ATTEMPT_STATE_LOST,
        pb.ATTEMPT_STATE_PARKED,
        pb.ATTEMPT_STATE_SUBMITTED,
        pb.ATTEMPT_STATE_REVIEWED,
    )
}
# The reviews of its work have ended, or a candidate was chosen.
ATTEMPT_DECIDE: Final = {
    state: Move(
        f"the decision {pb.AttemptState.Name(state)}",
        _attempts(pb.ATTEMPT_STATE_SUBMITTED),
        {"state": state},
    )
    for state in (
        pb.ATTEMPT_STATE_ACCEPTED,
        pb.ATTEMPT_STATE_FAILED,
        pb.ATTEMPT_STATE_STOPPED,
        pb.ATTEMPT_STATE_NOT_CHOSEN,
    )
}
# The session has already ended: it was parked.
ATTEMPT_STOP_PARKED: Final = Move(
    "stopping", _attempts(pb.ATTEMPT_STATE_PARKED), {"state": pb.ATTEMPT_STATE_STOPPED}
)
ATTEMPT_MOVES: Final[tuple[Move[AttemptStatus], ...]] = (
    *ATTEMPT_REPORT.values(),
    *ATTEMPT_END.values(),
    *ATTEMPT_DECIDE.values(),
    ATTEMPT_STOP_PARKED,
)
