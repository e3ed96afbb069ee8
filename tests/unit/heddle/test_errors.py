import base64

import grpc
import pytest
from google.rpc import error_details_pb2

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
