"""`make bench`: compares Heddle with the alternatives and prints a table for each subject.

python -m tests.bench                      everything, in about five minutes
python -m tests.bench scheduling           one subject; the others are below

The tables are markdown; docs/performance.md has those of a known machine.
Figures depend on the machine; ratios compare measurements of the same run.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from heddle import logs
from heddle.config import Settings
from tests.bench import (
    browser,
    database,
    ingest,
    live,
    load,
    makespan_table,
    recovery,
    remote,
    sandbox,
    scheduling,
    streaming,
    whole_task,
    worktrees,
)
from tests.bench.table import Table

# Seconds; each takes about a minute at most on an idle machine, and five with HEDDLE_BENCH_FILES=50000.
BOUND: Final = 900

SUBJECTS: Final[dict[str, Callable[[], Awaitable[Table]]]] = {
    "scheduling": scheduling.run,
    "ingest": ingest.run,
    "live": live.run,
    "database": database.run,
    "makespan": makespan_table.run,
    "recovery": recovery.run,
    "remote": remote.run,
    "streaming": streaming.run,
    "worktrees": worktrees.run,
    "whole-task": whole_task.run,
    "browser": browser.run,
    "sandbox": sandbox.run,
    "load": load.run,
}


async def measure(names: list[str]) -> int:
    """Prints the tables; returns the exit code, which is 1 if a subject could not be measured."""
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    code = 0
    for name in names:
        try:
            async with asyncio.timeout(BOUND):
                print(await SUBJECTS[name](), flush=True)
        except TimeoutError:
            print(f"{name} took longer than {BOUND} s and was ended", file=sys.stderr)
            code = 1
    return code


def main() -> int:
    """Runs the command line above; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("subjects", nargs="*", choices=[*SUBJECTS, []], metavar="|".join(SUBJECTS))
    arguments = parser.parse_args()
    # The fake worker serves inside this process; its log lines would appear between the tables.
    logs.configure(Settings.read({"HEDDLE_LOG_LEVEL": "warning"}), "bench")
    return asyncio.run(measure(arguments.subjects or list(SUBJECTS)))


if __name__ == "__main__":
    sys.exit(main())
