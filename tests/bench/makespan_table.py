"""The table of `makespan.py`: how long plans take in Heddle's order and in the order of the file."""

import asyncio
import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from tests.bench import makespan
from tests.bench.makespan import Row
from tests.bench.table import Table

ORDERS: Final = ("first in, first out", "decide", "decide, rough estimates")
AIM: Final = 1.02


async def run() -> Table:
    """Simulates all plans on every core; takes a minute on two idle cores."""
    # Most slots first: they take longest.
    slots = sorted(makespan.SLOTS, reverse=True)
    played = [row for rows in reversed(await _on_every_core(_play, slots)) for row in rows]
    plans = list(dict.fromkeys(row.plans for row in played))
    # Every group has as many plans as the others, so the mean of means is the mean.
    rows = [_row(name, [row for row in played if row.plans == name]) for name in plans]
    total = makespan.PLANS_PER_SLOTS * len(plans)
    return Table(
        "Makespan over its lower bound",
        f"{total} random plans of log-normal tasks (seed {makespan.SEED}), played with the real `decide`. 1 is a bound that no "
        f"order can beat. Rough estimates are wrong by a factor of 1.6 either way. Aim: ours ≤ {AIM}.",
        ("plans", "first in, first out", "ours", "ours, rough estimates", "ours, worst", "gain"),
        [*rows, _row(f"all {total}", played)],
    )


def _play(slots: int) -> list[Row]:
    return makespan.run(slots=(slots,))


async def _on_every_core(play: Callable[[int], list[Row]], arguments: Sequence[int]) -> list[list[Row]]:
    """Returns what `play` returns for each argument; ends its processes when it is cancelled."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[list[Row]]] = loop.create_future()
    # Spawned, since a fork of a process that has used gRPC may hang.
    with multiprocessing.get_context("spawn").Pool() as pool:
        pool.map_async(
            play,
            arguments,
            chunksize=1,
            callback=lambda results: loop.call_soon_threadsafe(done.set_result, results),
            error_callback=lambda error: loop.call_soon_threadsafe(done.set_exception, error),
        )
        return await done


def _row(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    means = [statistics.mean(row.mean for row in rows if row.order == order) for order in ORDERS]
    worst = max(row.worst for row in rows if row.order == "decide")
    gain = f"{means[0] / means[1]:.2f} x"
    return (name, *(f"{mean:.3f}" for mean in means), f"{worst:.3f}", gain)
