"""How a client connects to a server."""

import asyncio
from functools import partial

from grpc_health.v1 import health_pb2, health_pb2_grpc

from heddle.rpc.channels import open_channel
from heddle.rpc.serving import Server, Service
from tests.support.callers import ADA

DEADLINE = 30.0

# Seconds; well above the pause between two connection attempts.
BUSY = 1.0


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


async def accept_late(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forwards between a client and the server at `port` after an initial delay."""
    await asyncio.sleep(BUSY)
    behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(
        forward(reader, behind_writer), forward(behind_reader, writer), return_exceptions=True
    )


async def test_a_busy_server_is_waited_for() -> None:
    """A connection that takes a while to establish, as on a busy machine, does not fail."""
    server = Server(Service([], lambda _: None, ADA), "127.0.0.1:0")
    await server.start()
    port = int(server.address.rpartition(":")[2])
    between = await asyncio.start_server(partial(accept_late, port), "127.0.0.1", 0)
    try:
        address = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(DEADLINE), open_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            # The published stubs lack grpc.aio.
            answer = await stub.Check(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]  # set by gRPC at run time
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        between.close()
        await server.stop()
