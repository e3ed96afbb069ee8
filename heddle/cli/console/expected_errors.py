"""Which errors of a command are expected: the message for the user and the exit code."""

from typing import Final

from heddle import errors, pb
from heddle.cli.console.exit_codes import BAD_INPUT, FAILED
from heddle.cli.console.failure import Failure
from heddle.client import ServerUnreachable
from heddle.config import ConfigError
from heddle.samples import SampleError

# Errors that the caller can fix by changing the request.
_BAD_INPUT: Final = frozenset(
    {
        pb.ERROR_REASON_INVALID_PLAN,
        pb.ERROR_REASON_INVALID_FIELD,
        pb.ERROR_REASON_NOT_FOUND,
        pb.ERROR_REASON_REQUEST_ID_REUSED,
        pb.ERROR_REASON_BRANCH_EXISTS,
        pb.ERROR_REASON_NOT_A_REPOSITORY,
        pb.ERROR_REASON_EMPTY_REPOSITORY,
        pb.ERROR_REASON_UNKNOWN_REVISION,
        pb.ERROR_REASON_DIRTY_CHECKOUT,
        pb.ERROR_REASON_BRANCH_CHECKED_OUT,
        pb.ERROR_REASON_UNKNOWN_AGENT,
        pb.ERROR_REASON_FILTER_NOT_ALLOWED,
        pb.ERROR_REASON_CANNOT_LISTEN,
        pb.ERROR_REASON_INVALID_PROJECT_FILE,
        pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE,
        pb.ERROR_REASON_UNAUTHENTICATED,
        pb.ERROR_REASON_PERMISSION_DENIED,
    }
)


def explained(error: BaseException) -> Failure | None:
    """Returns the failure to report for an expected error; None if the error is a defect."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, errors.HeddleError):
        return Failure(error.message, BAD_INPUT if error.reason in _BAD_INPUT else FAILED)
    if isinstance(error, ConfigError):
        return Failure(str(error), BAD_INPUT)
    if isinstance(error, (ServerUnreachable, SampleError)):
        return Failure(str(error))
    if isinstance(error, OSError):
        return Failure(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    return None
