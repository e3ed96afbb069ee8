"""Real gRPC servers inside a test."""

import atexit
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

import grpc

from heddle.rpc.channels import open_channel
from heddle.rpc.serving import Server, Service

_numbers: Final = itertools.count()


def new_socket() -> str:
    """Returns the address of a Unix socket that does not exist yet; its folder is removed when the program ends."""
    return f"unix:{_folder()}/{next(_numbers)}.sock"


@cache
def _folder() -> Path:
    # The path of a socket is limited to a hundred bytes, which those of pytest's folders can exceed.
    folder = Path(tempfile.mkdtemp(prefix="heddle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[grpc.aio.Channel]:
    """Serves on a new Unix socket; yields a channel to it; drains at the end."""
    server = Server(service, new_socket())
    await server.start()
    try:
        async with open_channel(server.address) as channel:
            yield channel
    finally:
        await server.stop()
