"""The table of `makespan.py`: how long plans take in our order and in the order of the file."""

import asyncio
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.bench import makespan
from tests.bench.makespan import Row
from tests.bench.table import Table

ORDERS: Final = ("first in, first out", "decide", "decide, rough estimates")
AIM: Final = 1.02


async def run() -> Table:
    """Plays all plans, on every core; takes about a minute on two."""
    loop = asyncio.get_running_loop()
    # Most slots first: they take longest.
    slots = sorted(makespan.SLOTS, reverse=True)
    with ProcessPoolExecutor() as pool:
        plays = [
            loop.run_in_executor(pool, makespan.run, makespan.PLANS_PER_SLOTS, (each,)) for each in slots
        ]
        played = [row for rows in reversed(await asyncio.gather(*plays)) for row in rows]
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


def _row(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    means = [statistics.mean(row.mean for row in rows if row.order == order) for order in ORDERS]
    worst = max(row.worst for row in rows if row.order == "decide")
    gain = f"{means[0] / means[1]:.2f} x"
    return (name, *(f"{mean:.3f}" for mean in means), f"{worst:.3f}", gain)
