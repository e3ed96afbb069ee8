import base64
import errno

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from heddle import errors, pb

REASONS = [value for value in pb.ErrorReason.values() if value != pb.ERROR_REASON_UNSPECIFIED]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_status_code(reason: "pb.ErrorReason.ValueType") -> None:
    """Every reason of the catalogue has a status code."""
    assert errors.HeddleError(reason, "message").code in grpc.StatusCode


def test_every_mistake_of_a_plan_travels_as_a_field_violation() -> None:
    """A client receives each error of a plan with its field path."""
    mistakes = [errors.Violation("epics[0].key", "is missing"), errors.Violation("name", "is missing")]
    status = errors.to_status(errors.invalid_plan(mistakes))
    bad_request = error_details_pb2.BadRequest()
    assert [detail for detail in status.details if detail.Unpack(bad_request)]
    assert [(each.field, each.description) for each in bad_request.field_violations] == mistakes
    assert "2 errors" in status.message


@pytest.mark.parametrize("letter", ["a", "ä", "🚀"])
def test_a_status_fits_what_grpc_carries(letter: str) -> None:
    """With any number of errors in any alphabet, an encoded status stays below the 8 KiB of a trailer."""
    mistakes = [errors.Violation(f"epics[{place}].key", letter * 40) for place in range(500)]
    status = errors.to_status(errors.invalid_plan(mistakes))
    assert len(base64.b64encode(status.SerializeToString())) < 8 << 10
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    assert len(bad_request.field_violations) > 5


def test_an_unavailable_service_says_when_to_call_again() -> None:
    """UNAVAILABLE carries a RetryInfo."""
    status = errors.to_status(errors.HeddleError(pb.ERROR_REASON_NO_WORKER, "no worker"))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds == errors.RETRY_AFTER


def test_metadata_travels_as_text() -> None:
    """A program can read the subject of an error from its metadata."""
    status = errors.to_status(errors.HeddleError(pb.ERROR_REASON_DISK_FULL, "full", free_bytes=7))
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert (info.reason, info.domain, dict(info.metadata)) == ("DISK_FULL", "heddle", {"free_bytes": "7"})


class Call(grpc.RpcError):
    """The error of a call, as gRPC gives it to a client."""

    def __init__(self, status: status_pb2.Status, code: grpc.StatusCode) -> None:
        self._status = status
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return str(self._status.message)

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:  # type: ignore[override]  # the stubs have a class of their own for a pair
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


SENT = errors.HeddleError(
    pb.ERROR_REASON_INVALID_FIELD,
    "name: is empty",
    violations=[errors.Violation("name", "is empty"), errors.Violation("title", "is long")],
    resource="runs/r",
)


def test_an_error_arrives_as_it_was_sent() -> None:
    """A client gets the reason, the message, the metadata and every violation."""
    status = errors.to_status(SENT)
    for got in (errors.from_status(status), errors.from_rpc(Call(status, grpc.StatusCode.INVALID_ARGUMENT))):
        assert got is not None
        assert (got.reason, got.message, got.metadata) == (SENT.reason, SENT.message, SENT.metadata)
        assert got.violations == SENT.violations


def test_other_errors_are_none_of_ours() -> None:
    """A status without our details, of another domain, or replaced by gRPC has no reason."""
    assert errors.from_status(status_pb2.Status(code=5)) is None
    info = error_details_pb2.ErrorInfo(reason="DISK_FULL", domain="elsewhere")
    foreign = status_pb2.Status(code=5)
    foreign.details.add().Pack(info)
    assert errors.from_status(foreign) is None
    assert errors.from_rpc(Call(errors.to_status(SENT), grpc.StatusCode.INTERNAL)) is None


def test_a_reason_of_a_newer_server_is_internal() -> None:
    """A client that does not know a reason keeps the message and the metadata."""
    status = status_pb2.Status(code=13, message="look")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="OF_TOMORROW", domain="heddle", metadata={"a": "1"})
    )
    got = errors.from_status(status)
    assert got is not None
    assert (got.reason, got.message, got.metadata) == (pb.ERROR_REASON_INTERNAL, "look", {"a": "1"})


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("x" * 1200, "x" * 1200),
        ("x" * 1201, f"{'x' * 1200} …"),
        ("é" * 600, "é" * 600),
        # Half of a character is left out.
        ("x" + "é" * 600, f"x{'é' * 599} …"),
    ],
)
def test_a_long_message_is_cut(message: str, sent: str) -> None:
    """A message may have 1,200 bytes."""
    assert errors.to_status(errors.HeddleError(pb.ERROR_REASON_INTERNAL, message)).message == sent


@pytest.mark.parametrize(
    ("description", "fits"), [("x" * 1495, True), ("x" * 1496, False), ("é" * 747, True), ("é" * 748, False)]
)
def test_violations_that_do_not_fit_are_left_out(description: str, fits: bool) -> None:
    """All violations together may have 1,500 bytes, their paths included; one more says that there are others."""
    found = [errors.Violation("a", "b"), errors.Violation("cde", description)]
    bad_request = error_details_pb2.BadRequest()
    status = errors.to_status(errors.invalid_plan(found))
    assert any(detail.Unpack(bad_request) for detail in status.details)
    last = bad_request.field_violations[-1]
    assert len(bad_request.field_violations) == 2
    assert (last.field, last.description) == (
        found[1] if fits else ("", "there are more errors; fix these and try again")
    )


def test_only_unavailable_services_ask_for_a_second() -> None:
    """Any other error carries no RetryInfo, and one without violations no BadRequest."""
    assert errors.RETRY_AFTER == 1
    status = errors.to_status(errors.HeddleError(pb.ERROR_REASON_NOT_FOUND, "gone"))
    assert [detail.TypeName() for detail in status.details] == ["google.rpc.ErrorInfo"]
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]


def test_what_common_errors_say() -> None:
    """Each has its reason, and a program reads the subject from the metadata or the violation."""
    gone = errors.not_found("runs/r")
    assert (gone.reason, gone.message) == (pb.ERROR_REASON_NOT_FOUND, "runs/r does not exist")
    assert gone.metadata == {"resource": "runs/r"}
    field = errors.invalid_field("name", "is empty")
    assert (field.reason, field.message) == (pb.ERROR_REASON_INVALID_FIELD, "name: is empty")
    assert field.violations == (errors.Violation("name", "is empty"),)
    one = errors.invalid_plan([errors.Violation("name", "is empty")])
    assert one.message == "the plan has 1 error:\n  name: is empty"
    assert str(one) == one.message


@pytest.mark.parametrize(
    ("number", "lacks"), [(errno.EMFILE, True), (errno.ENFILE, True), (errno.ENOSPC, False)]
)
def test_a_lack_of_descriptors_is_recognized(number: int, lacks: bool) -> None:
    """The process or the machine may have none left; the error says which limit to raise."""
    fault = OSError(number, "none left")
    assert errors.lacks_descriptors(fault) is lacks
    error = errors.no_descriptors(fault)
    assert error.reason == pb.ERROR_REASON_NO_DESCRIPTORS
    assert error.message.startswith("the worker has no file descriptors left (none left): raise the limit")


def test_faults_that_pass_are_those_of_the_environment() -> None:
    """A retry can succeed without a change of the request."""
    assert {pb.ErrorReason.Name(each) for each in errors.ENVIRONMENT_FAULTS} == {
        "ERROR_REASON_PROJECT_UNAVAILABLE",
        "ERROR_REASON_DISK_FULL",
        "ERROR_REASON_NO_DESCRIPTORS",
        "ERROR_REASON_NO_PORTS",
    }


@pytest.mark.parametrize(("size", "count"), [(1496, 2), (1497, 1)])
def test_paths_of_violations_count_in_bytes(size: int, count: int) -> None:
    """A path may have a key of the user, in any alphabet."""
    found = [errors.Violation("a", "b"), errors.Violation("é", "x" * size)]
    assert [each for each in errors._fitting(found) if each.field] == found[:count]
