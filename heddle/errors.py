"""The catalogue of errors that services raise and that travel over gRPC.

A service raises `HeddleError`; the interceptor in `heddle.rpc.serving` turns it into
a gRPC status with a google.rpc.ErrorInfo. A client turns that back with
`from_rpc`. Reasons are documented in protos/heddle/v1/error_reason.proto.
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from heddle import pb

DOMAIN: Final = "heddle"

# gRPC clients reject trailers above 8 KiB; these carry the message twice, with non-ASCII characters escaped.
MAX_MESSAGE_BYTES: Final = 1_200
MAX_VIOLATIONS_BYTES: Final = 1_500

# Seconds that a caller should wait before it retries an unavailable service, or one that it called too often.
RETRY_AFTER: Final = 1

_STATUS: Final[Mapping["pb.ErrorReason.ValueType", grpc.StatusCode]] = {
    pb.ERROR_REASON_INVALID_PLAN: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_INVALID_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
    pb.ERROR_REASON_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    pb.ERROR_REASON_REQUEST_ID_REUSED: grpc.StatusCode.ALREADY_EXISTS,
    pb.ERROR_REASON_BRANCH_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    pb.ERROR_REASON_NOT_A_REPOSITORY: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_EMPTY_REPOSITORY: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_UNKNOWN_REVISION: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_DIRTY_CHECKOUT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_BRANCH_CHECKED_OUT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_UNKNOWN_AGENT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_WRONG_STATE: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_STALE_EPOCH: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_STALE_ATTEMPT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_WORKTREE_DAMAGED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_WORKTREE_LOST: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_CLAIM_REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_MARKERS_LEFT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_UNCOMMITTABLE_FILES: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_FILTER_NOT_ALLOWED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_CHANGE_REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_UNFINISHED_OPERATION: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_MERGE_UNFINISHED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_CONFLICT_UNDECIDED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_BRANCH_DIVERGED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_CANNOT_LISTEN: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_INVALID_PROJECT_FILE: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_PLAN_CHANGE_REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_NEEDS_CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_SYNC_CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_TERMINALS_OFF: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_TERMINAL_ENDED: grpc.StatusCode.ABORTED,
    pb.ERROR_REASON_PLAN_CHANGED: grpc.StatusCode.ABORTED,
    pb.ERROR_REASON_CONFLICT_MOVED: grpc.StatusCode.ABORTED,
    pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    pb.ERROR_REASON_DISK_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_NO_SLOT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_NO_DESCRIPTORS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_NO_PORTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_TOO_MANY_CALLS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_TOO_MANY_TERMINALS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_REASON_PROJECT_UNAVAILABLE: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_REASON_UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    pb.ERROR_REASON_PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    pb.ERROR_REASON_NO_WORKER: grpc.StatusCode.UNAVAILABLE,
    pb.ERROR_REASON_DRAINING: grpc.StatusCode.UNAVAILABLE,
    pb.ERROR_REASON_DATABASE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    pb.ERROR_REASON_GIT_FAILED: grpc.StatusCode.INTERNAL,
    pb.ERROR_REASON_INTERNAL: grpc.StatusCode.INTERNAL,
}


# Temporary faults of the environment: a retry succeeds once the fault is resolved.
ENVIRONMENT_FAULTS: Final = frozenset(
    {
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        pb.ERROR_REASON_DISK_FULL,
        pb.ERROR_REASON_NO_DESCRIPTORS,
        pb.ERROR_REASON_NO_PORTS,
    }
)


class Violation(NamedTuple):
    """One invalid field: its path, such as `epics[1].tasks[0].key`, and what to change."""

    field: str
    description: str


class HeddleError(Exception):
    """An error that its caller can act on.

    `message` is for people and says what to do; `reason` and `metadata` are for
    programs.
    """

    def __init__(
        self,
        reason: "pb.ErrorReason.ValueType",
        message: str,
        *,
        violations: Sequence[Violation] = (),
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = {key: str(value) for key, value in metadata.items()}

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code of this reason."""
        return _STATUS[self.reason]


def not_found(resource: object) -> HeddleError:
    """Returns the error for a resource that does not exist."""
    return HeddleError(pb.ERROR_REASON_NOT_FOUND, f"{resource} does not exist", resource=resource)


def lacks_descriptors(error: OSError) -> bool:
    """Returns whether the process or the machine ran out of file descriptors."""
    return error.errno in {errno.EMFILE, errno.ENFILE}


def no_descriptors(error: OSError) -> HeddleError:
    """Returns the error for a worker without free file descriptors."""
    return HeddleError(
        pb.ERROR_REASON_NO_DESCRIPTORS,
        f"the worker has no file descriptors left ({error.strerror}): raise the limit (ulimit -n, LimitNOFILE="
        " of a systemd unit), or lower HEDDLE_SLOTS",
    )


def invalid_field(field: str, description: str) -> HeddleError:
    """Returns the error for one invalid field of a request."""
    violation = Violation(field, description)
    return HeddleError(pb.ERROR_REASON_INVALID_FIELD, f"{field}: {description}", violations=[violation])


def invalid_plan(violations: Sequence[Violation]) -> HeddleError:
    """Returns the error that carries every violation of a plan at once."""
    count = len(violations)
    lines = "".join(f"\n  {violation.field}: {violation.description}" for violation in violations)
    message = f"the plan has {count} error{'s' if count > 1 else ''}:{lines}"
    return HeddleError(pb.ERROR_REASON_INVALID_PLAN, message, violations=violations)


def to_status(error: HeddleError) -> status_pb2.Status:
    """Returns the rich status of `error`: ErrorInfo, with BadRequest or RetryInfo if they apply."""
    info = error_details_pb2.ErrorInfo(
        reason=pb.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"),
        domain=DOMAIN,
        metadata=error.metadata,
    )
    details = [_packed(info)]
    if error.violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in _fitting(error.violations)
        ]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=fields)))
    if error.code is grpc.StatusCode.UNAVAILABLE or error.reason == pb.ERROR_REASON_TOO_MANY_CALLS:
        delay = duration_pb2.Duration(seconds=RETRY_AFTER)
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    code = code_pb2.Code.Value(error.code.name)
    return status_pb2.Status(code=code, message=_cut(error.message), details=details)


def _fitting(violations: Sequence[Violation]) -> Iterator[Violation]:
    """Yields as many violations as fit in a status, then one that says that more were omitted."""
    size = 0
    for field, description in violations:
        size += len(field.encode()) + len(description.encode())
        if size > MAX_VIOLATIONS_BYTES:
            yield Violation("", "there are more errors; fix these and try again")
            return
        yield Violation(field, description)


def _cut(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return message
    return f"{encoded[:MAX_MESSAGE_BYTES].decode(errors='ignore')} …"


def from_rpc(error: grpc.RpcError) -> HeddleError | None:
    """Returns the HeddleError that a service sent; None for other errors, such as an absent server."""
    try:
        # Stubs of grpc_status ask for grpc.Call, which aio.AioRpcError resembles without inheriting.
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # see above
    except ValueError:
        # gRPC replaced the status of the service, for example because of oversized trailers.
        return None
    return from_status(status) if status is not None else None


def from_status(status: status_pb2.Status) -> HeddleError | None:
    """Returns the HeddleError that `to_status` encoded; None if the status has none."""
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    found = False
    for detail in status.details:
        found = (detail.Unpack(info) and info.domain == DOMAIN) or found
        detail.Unpack(bad_request)
    name = f"ERROR_REASON_{info.reason}"
    if not found:
        return None
    # A newer server may send a reason that this client does not know yet.
    known = name in pb.ErrorReason.keys()  # noqa: SIM118 (an enum wrapper, not a dict)
    reason = pb.ErrorReason.Value(name) if known else pb.ERROR_REASON_INTERNAL
    violations = [Violation(each.field, each.description) for each in bad_request.field_violations]
    return HeddleError(reason, status.message, violations=violations, **info.metadata)


def _packed(
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
