"""Runs one check of a task and reports it."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from typing import Final

from agent_svc.processes import supervised
from agent_svc.reports.evidence import Evidence
from agent_svc.text import clip, tail
from heddle import pb

MAX_OUTPUT_BYTES: Final = 64 << 10


async def run_check(
    check: pb.Check,
    command: supervised.Command,
    supervisors: supervised.Supervisors,
    attach: Callable[[supervised.Supervised], None],
) -> pb.CheckFinished:
    """Runs a check and returns its report once its whole process tree has ended.

    `attach` receives the process as soon as it runs, so that it can be stopped. Raises
    OSError or ValueError if the check cannot start.
    """
    evidence = await asyncio.to_thread(Evidence, check, command.folder)
    begun = time.monotonic()
    process = await supervisors.start(command, stdin=subprocess.DEVNULL, join_streams=True)
    attach(process)
    kept = bytearray()
    reader = asyncio.create_task(_read_tail(process.stdout, kept))
    ended = await process.wait()
    await process.close(reader)
    report = pb.CheckFinished(
        name=check.name,
        command=clip(check.run, MAX_OUTPUT_BYTES),
        ok=ended.code == 0,
        output=ended.error or tail(bytes(kept), MAX_OUTPUT_BYTES),
    )
    report.duration.FromMilliseconds(round((time.monotonic() - begun) * 1000))
    if ended.exceeded:
        report.output += f"\nthe check {ended.exceeded}\n"
    if ended.code is not None:
        report.exit_code = ended.code
    await asyncio.to_thread(evidence.add_to, report)
    return report


async def _read_tail(stream: asyncio.StreamReader, kept: bytearray) -> None:
    while data := await stream.read(supervised.READ_LIMIT):
        kept += data
        del kept[:-MAX_OUTPUT_BYTES]
