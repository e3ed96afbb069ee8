"""A process that adds delay to the connections of a server, so that it needs no time of the measured program.

python -m tests.bench.link TARGET MILLISECONDS    prints its address, and forwards until its input ends
"""

import asyncio
import sys
from contextlib import AbstractAsyncContextManager

from tests.bench.child import child
from tests.support.proxy import Proxy


def slow_link(target: str, milliseconds: float) -> AbstractAsyncContextManager[str]:
    """Runs the process; yields its address."""
    return child("tests.bench.link", target, milliseconds)


async def _forward(target: str, milliseconds: float) -> None:
    async with Proxy.to(target, milliseconds / 1000) as proxy:
        print(proxy.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_forward(sys.argv[1], float(sys.argv[2])))
