"""A process that adds delay to the connections of a server, so that it needs no time of the measured program.

python -m tests.bench.link TARGET MILLISECONDS    prints its address, and forwards until its input ends
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.proxy import Proxy


@asynccontextmanager
async def slow_link(target: str, milliseconds: float) -> AsyncIterator[str]:
    """Runs the process; yields its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.link", target, str(milliseconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def _forward(target: str, milliseconds: float) -> None:
    async with Proxy.to(target, milliseconds / 1000) as proxy:
        print(proxy.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_forward(sys.argv[1], float(sys.argv[2])))
