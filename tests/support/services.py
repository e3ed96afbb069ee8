"""Real gRPC servers inside a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from heddle.channels import open_channel
from heddle.serving import Server, Service


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[grpc.aio.Channel]:
    """Serves on a free loopback port; yields a channel to it; drains at the end."""
    server = Server(service, "127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(server.address) as channel:
            yield channel
    finally:
        await server.stop()
