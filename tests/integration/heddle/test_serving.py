import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from heddle import errors, pb
from heddle.rpc.serving import AddressInUseError, Server, Service
from heddle.v1 import worktree_service_pb2_grpc as rpc
from tests.support.callers import ANYTHING
from tests.support.services import serving

NAME = "heddle.v1.WorktreeService"


class Raising(rpc.WorktreeServiceServicer):
    """Answers every call with an error."""

    async def InspectProject(
        self, request: pb.InspectProjectRequest, context: object
    ) -> pb.InspectProjectResponse:
        if request.project == "defect":
            raise KeyError(request.project)
        raise errors.not_found(request.project)

    async def DiffRevisions(
        self, request: pb.DiffRevisionsRequest, context: object
    ) -> AsyncIterator[pb.DiffRevisionsResponse]:
        yield pb.DiffRevisionsResponse(text="first")
        raise errors.invalid_field("to_revision", "is missing")


def _register(server: grpc.aio.Server) -> None:
    rpc.add_WorktreeServiceServicer_to_server(Raising(), server)  # type: ignore[abstract] # (as above)


SERVICE = Service([NAME], _register, ANYTHING)


async def test_a_raised_error_arrives_as_the_same_error() -> None:
    """A domain error reaches the client with reason, message and metadata."""
    async with serving(SERVICE) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.WorktreeServiceStub(channel).InspectProject(pb.InspectProjectRequest(project="p"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    error = errors.from_rpc(caught.value)
    assert error is not None
    assert (error.reason, error.message) == (pb.ERROR_REASON_NOT_FOUND, "p does not exist")
    assert error.metadata == {"resource": "p"}


async def test_health_says_serving_only_between_start_and_drain() -> None:
    """Health reports SERVING, for the server and each service, once it has started, and until it begins to drain."""
    told: list[int] = []

    async def ask() -> None:
        async with grpc.aio.insecure_channel(server.address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            for name in ("", NAME):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
                told.append(answer.status)

    server = Server(Service([NAME], _register, ANYTHING, start=ask, drain=ask), "127.0.0.1:0")
    await server.start()
    await ask()
    await server.stop()
    no, yes = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
    assert told == [no, no, yes, yes, no, no]


async def test_a_stream_may_fail_after_its_first_message() -> None:
    """An error raised after streamed messages arrives after them, with its field."""
    async with serving(SERVICE) as channel:
        call = rpc.WorktreeServiceStub(channel).DiffRevisions(pb.DiffRevisionsRequest())
        received = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012 (the loop itself raises)
            async for response in call:
                received.append(response.text)  # noqa: PERF401 (a comprehension would lose those before the error)
    assert received == ["first"]
    error = errors.from_rpc(caught.value)
    assert error is not None
    assert error.violations == (errors.Violation("to_revision", "is missing"),)


async def test_a_defect_is_internal_and_tells_no_detail() -> None:
    """An unforeseen exception becomes INTERNAL; its text appears only in the service's log."""
    async with serving(SERVICE) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.WorktreeServiceStub(channel).InspectProject(pb.InspectProjectRequest(project="defect"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    error = errors.from_rpc(caught.value)
    assert error is not None
    assert error.reason == pb.ERROR_REASON_INTERNAL


async def test_no_server_is_no_heddle_error() -> None:
    """A refused connection is distinguished from an error of a service."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.WorktreeServiceStub(channel).InspectProject(pb.InspectProjectRequest())
    assert errors.from_rpc(caught.value) is None


async def test_health_and_reflection_answer() -> None:
    """A service reports SERVING under its name, and reflection lists it."""
    async with serving(SERVICE) as channel:
        # The published stubs of both packages lack grpc.aio.
        stub = health_pb2_grpc.HealthStub(channel)
        health = await stub.Check(health_pb2.HealthCheckRequest(service=NAME))  # type: ignore[attr-defined]  # set by gRPC at run time
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # the stubs expect a synchronous channel
        call = reflection.ServerReflectionInfo(  # type: ignore[operator]  # same
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        async for response in call:
            names = [service.name for service in response.list_services_response.service]
    assert NAME in names


async def test_a_taken_port_is_refused_with_advice() -> None:
    """A second server on a port is rejected instead of sharing its calls."""
    first = Server(SERVICE, "127.0.0.1:0")
    await first.start()
    try:
        with pytest.raises(AddressInUseError, match="--ports"):
            Server(SERVICE, first.address)
    finally:
        await first.stop()


PROGRAM = """
import asyncio, os
from heddle.identity.guard import SchedulerOnly
from heddle.rpc.serving import Service, serve

async def start():
    print("ready", flush=True)

async def drain():
    print("draining", flush=True)
    if os.environ["DRAIN"] == "never":
        await asyncio.Event().wait()

asyncio.run(serve(Service([], lambda server: None, SchedulerOnly(), start, drain), "unix:" + os.environ["SOCKET"]))
"""


async def _signalled(tmp_path: Path, drain: str, signals: int) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        env={**os.environ, "DRAIN": drain, "SOCKET": str(tmp_path / "s")},
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        await _line(process.stdout, b"ready\n")
        process.send_signal(signal.SIGTERM)
        await _line(process.stdout, b"draining\n")
        for _ in range(signals - 1):
            process.send_signal(signal.SIGTERM)
        await process.stdout.read()
    except BaseException:
        process.kill()
        raise
    finally:
        await process.wait()
    assert process.returncode is not None
    return process.returncode


async def _line(stream: asyncio.StreamReader, expected: bytes) -> None:
    """Reads the next line that is not a log line, from the same stream."""
    while (line := await stream.readline()) != expected:
        assert line, f"the program ended before it said {expected!r}"


async def test_the_first_signal_drains(tmp_path: Path) -> None:
    """A service that receives a signal drains and exits with 0."""
    assert await _signalled(tmp_path, "now", 1) == 0


async def test_a_second_signal_forces(tmp_path: Path) -> None:
    """A service that does not finish its drain ends at the second signal."""
    assert await _signalled(tmp_path, "never", 2) == 130
