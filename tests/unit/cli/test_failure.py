import errno
from pathlib import Path

import pytest

from heddle import errors, pb
from heddle.cli.console.exit_codes import BAD_INPUT, FAILED
from heddle.cli.console.expected_errors import explained
from heddle.cli.console.failure import Failure
from heddle.client import ServerUnreachable
from heddle.config import ConfigError

STATE_OF_THE_SERVER = {
    pb.ERROR_REASON_UNSPECIFIED,
    pb.ERROR_REASON_WRONG_STATE,
    pb.ERROR_REASON_STALE_EPOCH,
    pb.ERROR_REASON_STALE_ATTEMPT,
    pb.ERROR_REASON_WORKTREE_DAMAGED,
    pb.ERROR_REASON_WORKTREE_LOST,
    pb.ERROR_REASON_CLAIM_REFUSED,
    pb.ERROR_REASON_MARKERS_LEFT,
    pb.ERROR_REASON_UNCOMMITTABLE_FILES,
    pb.ERROR_REASON_CHANGE_REFUSED,
    pb.ERROR_REASON_UNFINISHED_OPERATION,
    pb.ERROR_REASON_MERGE_UNFINISHED,
    pb.ERROR_REASON_CONFLICT_MOVED,
    pb.ERROR_REASON_CONFLICT_UNDECIDED,
    pb.ERROR_REASON_BRANCH_DIVERGED,
    pb.ERROR_REASON_PLAN_CHANGE_REFUSED,
    pb.ERROR_REASON_PLAN_CHANGED,
    pb.ERROR_REASON_NEEDS_CONFLICT,
    pb.ERROR_REASON_SYNC_CONFLICT,
    pb.ERROR_REASON_DISK_FULL,
    pb.ERROR_REASON_NO_SLOT,
    pb.ERROR_REASON_NO_DESCRIPTORS,
    pb.ERROR_REASON_NO_PORTS,
    pb.ERROR_REASON_TOO_MANY_CALLS,
    pb.ERROR_REASON_TERMINALS_OFF,
    pb.ERROR_REASON_TOO_MANY_TERMINALS,
    pb.ERROR_REASON_TERMINAL_ENDED,
    pb.ERROR_REASON_PROJECT_UNAVAILABLE,
    pb.ERROR_REASON_NO_WORKER,
    pb.ERROR_REASON_DRAINING,
    pb.ERROR_REASON_DATABASE_UNAVAILABLE,
    pb.ERROR_REASON_GIT_FAILED,
    pb.ERROR_REASON_INTERNAL,
}


@pytest.mark.parametrize("reason", pb.ErrorReason.values())
def test_every_reason_has_an_exit_code(reason: "pb.ErrorReason.ValueType") -> None:
    """Invalid requests exit with 2; requests that are currently impossible exit with 1."""
    failure = explained(errors.HeddleError(reason, "words"))
    assert failure is not None
    assert str(failure) == "words"
    assert failure.exit_code == (FAILED if reason in STATE_OF_THE_SERVER else BAD_INPUT)


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (Failure("no", 7), 7, "no"),
        (ConfigError("HEDDLE_SLOTS is 'x'"), BAD_INPUT, "HEDDLE_SLOTS is 'x'"),
        (ServerUnreachable("no server"), FAILED, "no server"),
        (OSError(errno.ENOSPC, "No space left on device", "/data"), FAILED, "No space left on device: /data"),
    ],
)
def test_foreseeable_errors_become_words(error: Exception, exit_code: int, words: str) -> None:
    """Errors of settings, unreachable servers and the system are reported without a traceback."""
    failure = explained(error)
    assert failure is not None
    assert (failure.exit_code, str(failure)) == (exit_code, words)


def test_defects_stay_defects() -> None:
    """An unexpected error is not presented as an error of the user."""
    assert explained(KeyError(Path())) is None
