"""Commands that start Heddle on this machine: `up`, and `demo`, which runs a sample plan.

This module imports only what it needs to start the services. The rest is imported while they start.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated

import psutil
import typer

from heddle.cli.admin import home_lock, ports
from heddle.cli.admin.ports import Endpoints
from heddle.cli.admin.supervisor import Supervisor, drain_time
from heddle.cli.console import output
from heddle.cli.console.output import Json
from heddle.config import DEFAULT_PORT, Settings
from heddle.files import data_folder

app = typer.Typer(pretty_exceptions_enable=False)

PortsOption = Annotated[
    int,
    typer.Option(
        "--ports",
        metavar="BASE",
        min=1,
        max=ports.HIGHEST - 3,
        help="Use the ports BASE, for the scheduler, and BASE+3, for the web app.",
    ),
]


@app.command()
def up(base: PortsOption = DEFAULT_PORT, *, as_json: Json = False) -> None:
    """Start the four services and keep them running until Ctrl-C."""
    endpoints = Endpoints(base, Settings.read().home)

    async def say() -> None:
        from heddle.cli.admin.announcement import announce  # noqa: PLC0415 (see above)

        await announce(endpoints, as_json=as_json)

    _supervise(endpoints, say)


@app.command()
def demo(
    base: PortsOption = DEFAULT_PORT,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="How much faster than in real life the agents work.")
    ] = 1.0,
    *,
    as_json: Json = False,
) -> None:
    """Start the services, run the sample plan on a sample repository, and stay up until Ctrl-C."""
    home = Settings.read().home
    endpoints = Endpoints(base, home)
    if problems := ports.taken(endpoints):
        endpoints = Endpoints(ports.find_free(), home)
        output.print_message(
            f"{'; '.join(problems)}. Using {endpoints.base} and {endpoints.base + 3} instead"
        )

    async def play() -> None:
        from heddle.cli.admin import sample_run  # noqa: PLC0415 (see above)
        from heddle.cli.admin.announcement import announce  # noqa: PLC0415 (see above)

        await announce(endpoints, as_json=as_json, links=False)
        await sample_run.play(endpoints, Settings.read(), speed, as_json=as_json)

    os.environ.setdefault("HEDDLE_SCRIPT_SPEED", f"{1 / speed:g}")
    _supervise(endpoints, play)


def _supervise(endpoints: Endpoints, work: Callable[[], Awaitable[None]]) -> None:
    settings = Settings.read()
    os.environ.update(endpoints.environment())
    with home_lock.held(settings.home, endpoints.scheduler.address):
        if repository := data_folder.keep_out(settings.home):
            output.print_message(f"warning: {data_folder.advice(settings.home, repository)}")
        if left := home_lock.leftovers(settings.home):
            output.print_message("waiting for the services of an `up` that was killed …")
            psutil.wait_procs(left, timeout=drain_time(settings) + 1)
        ports.require_free(endpoints)
        output.print_message("starting the services …")
        asyncio.run(Supervisor(endpoints, settings, output.print_message).run(work))
        output.print_message("all services have ended")
