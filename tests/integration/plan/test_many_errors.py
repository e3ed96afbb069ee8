"""A plan with very many errors gets a complete answer, within the transport's size limit."""

import grpc
import pytest

from heddle import errors, pb
from heddle.errors import Violation
from heddle.rpc.serving import Service
from heddle.v1 import scheduler_service_pb2_grpc as grpc_stubs
from tests.support.callers import ADA
from tests.support.services import serving


class Refusing(grpc_stubs.SchedulerServiceServicer):
    """Reports the same errors for every plan."""

    def __init__(self, violations: list[Violation]) -> None:
        self._violations = violations

    async def CreateRun(
        self,
        request: pb.CreateRunRequest,
        context: grpc.aio.ServicerContext[pb.CreateRunRequest, pb.CreateRunResponse],
    ) -> pb.CreateRunResponse:
        raise errors.invalid_plan(self._violations)


@pytest.mark.parametrize("word", ["is missing", "fehlt völlig → ä ö ü"])
async def test_very_many_errors_arrive_as_invalid_plan(word: str) -> None:
    """The first errors arrive with their fields, and a last one says that there are more."""
    # The test calls only one method of it.
    servicer = Refusing([Violation(f"epics[{index}].tasks[0].key", word) for index in range(1000)])  # type: ignore[abstract]  # see above
    service = Service(
        ["heddle.v1.SchedulerService"],
        lambda server: grpc_stubs.add_SchedulerServiceServicer_to_server(servicer, server),
        ADA,
    )
    async with serving(service) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await grpc_stubs.SchedulerServiceStub(channel).CreateRun(pb.CreateRunRequest())
    error = errors.from_rpc(caught.value)
    assert error is not None
    assert error.reason == pb.ERROR_REASON_INVALID_PLAN
    assert "1000 errors" in error.message
    assert error.violations[0] == Violation("epics[0].tasks[0].key", word)
    assert "more errors" in error.violations[-1].description
