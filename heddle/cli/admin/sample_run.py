"""Plays the sample plan, for `heddle demo`."""

from pathlib import Path
from typing import Final

from heddle import pb, samples
from heddle.cli.admin.ports import Endpoints
from heddle.cli.console import output
from heddle.cli.plans import plan_file
from heddle.cli.runs.follow import follow_run
from heddle.client import HeddleClient
from heddle.config import Settings
from heddle.identity import token_file

# Seconds to wait for the worker to connect to the scheduler.
PATIENCE: Final = 30.0


async def play(endpoints: Endpoints, settings: Settings, *, as_json: bool) -> pb.Run:
    """Creates a sample repository, runs the sample plan on it, and shows the run until it has ended."""
    repository = _new_folder(settings.home / "demo")
    samples.make_sample_repository(repository)
    output.print_message(f"\nThe sample repository is {repository}; the plan is {samples.PLAN}\n")
    request = pb.CreateRunRequest(plan=plan_file.read(samples.PLAN), project=str(repository))
    async with HeddleClient(
        endpoints.scheduler.address,
        settings.tls,
        token=token_file.of_client(settings),
        patience=PATIENCE,
    ) as client:
        run = await client.create_run(request)
        output.print_message(f"{run.name.removeprefix('runs/')} has started: {endpoints.board}/{run.name}\n")
        return await follow_run(client, run.name, as_json=as_json)


def _new_folder(parent: Path) -> Path:
    numbers = [
        int(each.name.removeprefix("sample-"))
        for each in parent.glob("sample-*")
        if each.name.removeprefix("sample-").isdecimal()
    ]
    return parent / f"sample-{max(numbers, default=0) + 1}"
