"""Plays the sample plan, for `heddle demo`."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from heddle import pb, samples
from heddle.cli.admin.identity_commands import show, sign_in_link
from heddle.cli.admin.ports import Endpoints
from heddle.cli.console import output
from heddle.cli.plans import plan_file
from heddle.cli.runs.follow import follow_run
from heddle.client import HeddleClient, ServerUnreachable
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.identity import token_file

# Seconds to wait for the worker to connect to the scheduler.
PATIENCE: Final = 30.0

# Sessions at once: fewer than epics, so that some are queued.
_PARALLEL: Final = 6

# Seconds at speed 1 that a planned merge waits for its operator before the demo requests it.
_UNTIL_MERGE: Final = 40.0

# Seconds between two looks at what waits for the operator.
_LOOK: Final = 1.0


async def play(endpoints: Endpoints, settings: Settings, speed: float, *, as_json: bool) -> pb.Run:
    """Creates a sample repository, runs the sample plan on it, and shows the run until it has ended.

    The run waits for no one: what its operator does not decide in time, the demo decides.
    """
    repository = _new_folder(settings.home / "demo")
    samples.make_sample_repository(repository)
    output.print_message(f"\nThe sample repository is {repository}; the plan is {samples.PLAN}\n")
    plan = samples.faster(plan_file.read(samples.PLAN), speed)
    request = pb.CreateRunRequest(plan=plan, project=str(repository), max_parallel=_PARALLEL)
    async with HeddleClient(
        endpoints.scheduler.address,
        settings.tls,
        token=token_file.of_client(settings),
        patience=PATIENCE,
    ) as client:
        run = await client.create_run(request)
        link = await sign_in_link(client, endpoints.board, f"/{run.name}")
        output.print_message(
            f"{run.name.removeprefix('runs/')} has started. Watch it, and answer its agents:"
        )
        output.print_message(f"  {link}\n")
        show(link)
        deciding = asyncio.create_task(_decide(client, run.name, _UNTIL_MERGE / speed))
        try:
            ended = await follow_run(client, run.name, as_json=as_json)
        finally:
            deciding.cancel()
            await asyncio.gather(deciding, return_exceptions=True)
        output.print_message(
            f"\nThe run stays at {endpoints.board}/{run.name} until Ctrl-C. Its commits, in another terminal:"
        )
        output.print_message(f"  git -C {repository} log --graph --oneline {run.branch}")
        output.print_message("Next, on a repository of yours, with an agent such as Claude Code:")
        output.print_message(f"  {endpoints.board}/new")
        return ended


async def _decide(client: HeddleClient, run: str, patience: float) -> None:
    """Merges epics that have waited longer than `patience` seconds for their planned merge."""
    since: dict[str, float] = {}
    while True:
        with suppress(HeddleError, ServerUnreachable):
            epics = await client.list_epics(run)
            waiting = [each for each in epics if each.state == pb.EPIC_STATE_AWAITING_MERGE]
            now = time.monotonic()
            since = {each.name: since.get(each.name, now) for each in waiting}
            for epic in waiting:
                if now - since[epic.name] >= patience:
                    await client.retry_merge(epic.name)
                    output.print_message(f"{epic.title} has waited for your decision; the demo merges it")
        await asyncio.sleep(min(_LOOK, patience))


def _new_folder(parent: Path) -> Path:
    numbers = [
        int(each.name.removeprefix("sample-"))
        for each in parent.glob("sample-*")
        if each.name.removeprefix("sample-").isdecimal()
    ]
    return parent / f"sample-{max(numbers, default=0) + 1}"
