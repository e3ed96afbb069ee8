"""DBOS running empty tasks in the shape of the scheduling benchmark; a separate program.

python -m tests.bench.dbos_program DATABASE_URL SHAPE EPICS TASKS LIMIT

An epic is a workflow that runs its tasks one after another. SHAPE says what a
task is:

steps  a step of that workflow: a function in the same process, its result is
       recorded. No limit applies and no other process is involved: the minimum that an
       engine can do.
queue  a workflow on a queue that lets LIMIT run at once; the epic waits for its
       result. As in Heddle, a limit is enforced and another process could run it.

Prints one JSON object: `wall`, seconds from the first start to the last end, and
`gaps`, the seconds from the end of a task to the end of the next in its epic.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Final

from dbos import DBOS, DBOSConfig

QUEUE: Final = "tasks"

# DBOS polls, by default once a second. Shorter intervals than this were slower, on both databases.
POLL_SECONDS: Final = 0.02


def main() -> None:
    """Runs the command line above."""
    url, shape = sys.argv[1], sys.argv[2]
    epics, tasks, limit = (int(argument) for argument in sys.argv[3:])
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    dbos = DBOS(config=config)
    gaps: list[float] = []
    run_task: dict[str, Callable[[int], object]] = {}

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def queued(number: int) -> int:
        return number

    run_task["steps"] = step
    run_task["queue"] = lambda number: DBOS.enqueue_workflow(QUEUE, queued, number).get_result(
        polling_interval_sec=POLL_SECONDS
    )

    @DBOS.workflow()
    def epic() -> None:
        last = time.perf_counter()
        for number in range(tasks):
            run_task[shape](number)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    DBOS.launch()
    DBOS.register_queue(QUEUE, global_concurrency=limit, polling_interval_sec=POLL_SECONDS)
    DBOS.start_workflow(epic).get_result()  # warms up connections and caches
    gaps.clear()
    began = time.perf_counter()
    handles = [DBOS.start_workflow(epic) for _ in range(epics)]
    for handle in handles:
        handle.get_result(polling_interval_sec=POLL_SECONDS)
    print(json.dumps({"wall": time.perf_counter() - began, "gaps": gaps}))
    DBOS.destroy()
    del dbos


if __name__ == "__main__":
    main()
