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
<<<<<<< HEAD
        from heddle.cli.admin import sample_run  # noqa: PLC0415 (see above)
        from heddle.cli.admin.announcement import announce  # noqa: PLC0415 (see above)

        await announce(endpoints, as_json=as_json, opens=False)
=======
        await _announce(endpoints, as_json, links=False)
>>>>>>> cce237b36cbc08d0393d67f49374a6c98fc852d4
        await sample_run.play(endpoints, Settings.read(), speed, as_json=as_json)

    os.environ.setdefault("HEDDLE_SCRIPT_SPEED", f"{1 / speed:g}")
    _supervise(endpoints, play)


<<<<<<< HEAD
def _supervise(endpoints: Endpoints, work: Callable[[], Awaitable[None]]) -> None:
=======
async def _announce(endpoints: Endpoints, as_json: bool, *, links: bool = True) -> None:
    """Says where Heddle is; with `links`, also signs in to the board, in a browser where there is a desktop."""
    folder = Settings.read().home
    async with output.connect() as client:
        link = await sign_in_link(client, endpoints.board)
    if as_json:
        # No API message describes a whole Heddle; these names belong to this command.
        facts = {
            "scheduler": endpoints.scheduler.address,
            "board": endpoints.board,
            "home": str(folder),
            "sign_in": link,
        }
        output.print_plain_json(facts)
        return
    output.line("Heddle is up. Press Ctrl-C to stop it.")
    if links:
        output.line(f"  board  {link}")
        output.line("         (this link signs in once; `heddle open` makes another)")
    output.line(f"  API    {endpoints.scheduler.address}")
    output.line(f"  data   {folder} (logs in {folder / 'logs'})")
    others = {}
    if endpoints.base != DEFAULT_PORT:
        others["HEDDLE_SCHEDULER"] = endpoints.scheduler.address
    if folder != Settings.read({}).home:
        others["HEDDLE_HOME"] = str(folder)
    if others:
        output.line("In other terminals, first run:")
        output.line("  export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in others.items()))
    if links:
        show(link)


def _supervise(endpoints: Endpoints, when_ready: Callable[[], Awaitable[None]]) -> None:
>>>>>>> cce237b36cbc08d0393d67f49374a6c98fc852d4
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
