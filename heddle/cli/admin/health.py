"""Health checks of services."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from heddle.cli.admin.ports import Endpoints
from heddle.config import Tls
from heddle.rpc.channels import open_channel
from heddle.sockets import is_socket

# Seconds between two looks whether a service listens, between two checks of one that does, and until missing services
# are reported to the operator.
LOOK: Final = 0.02
INTERVAL: Final = 0.1
PATIENCE: Final = 20.0


async def is_serving(address: str, tls: Tls | None = None, timeout: float = 2.0) -> bool:
    """Returns whether the gRPC service at `address` reports SERVING."""
    async with open_channel(address, tls) as channel:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)  # type: ignore[attr-defined]  # set by gRPC at run time
        except grpc.aio.AioRpcError:
            return False
    serving: bool = answer.status == health_pb2.HealthCheckResponse.SERVING
    return serving


async def is_web_serving(address: str, timeout: float = 2.0) -> bool:
    """Returns whether the web app at `address` answers GET /healthz with 200."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                request = f"GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                status = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]


async def wait_until_serving(endpoints: Endpoints, tls: Tls | None, tell: Callable[[str], None]) -> None:
    """Waits until all four services serve; reports those still missing every PATIENCE seconds."""

    async def one(name: str, serves: Callable[[], Awaitable[bool]]) -> None:
        waiting = asyncio.create_task(_until(serves))
        try:
            while not (await asyncio.wait({waiting}, timeout=PATIENCE))[0]:
                tell(f"still waiting for {name}")
            await waiting
        finally:
            waiting.cancel()

    async with asyncio.TaskGroup() as group:
        for each in (endpoints.scheduler, endpoints.worktree, endpoints.agent):
            group.create_task(one(each.name, partial(_comes_to_serve, each.address, tls)))
        group.create_task(one("ui", partial(is_web_serving, endpoints.ui.address)))


async def _until(serves: Callable[[], Awaitable[bool]]) -> None:
    while not await serves():  # noqa: ASYNC110 (another process sets no event of this one)
        await asyncio.sleep(INTERVAL)


async def _comes_to_serve(address: str, tls: Tls | None) -> bool:
    """Returns True once the service serves, and False if it ends before.

    Services take a moment to start, in which each attempt to open a channel would cost them processor time.
    """
    while not _listens(address):  # noqa: ASYNC110 (as above)
        await asyncio.sleep(LOOK)
    async with open_channel(address, tls) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with suppress(grpc.aio.AioRpcError):
            async for answer in stub.Watch(health_pb2.HealthCheckRequest()):  # type: ignore[attr-defined]  # as above
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return True
    return False


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    place = address.removeprefix("unix:") if is_socket(address) else (host, int(port))
    with socket.socket(socket.AF_UNIX if is_socket(address) else socket.AF_INET) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(place) == 0
