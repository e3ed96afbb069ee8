"""Commands about the workers of the fleet."""

from typing import Annotated

import typer

from heddle.cli.console import output, tables
from heddle.cli.console.output import Json, with_client

app = typer.Typer(help="List the workers, or stop starting work on one of them.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The worker, as `heddle workers` lists it.")]


@app.callback(invoke_without_command=True)
def workers(context: typer.Context, as_json: Json = False) -> None:
    """List the workers: their state, sessions, agents and labels."""
    if context.invoked_subcommand is not None:
        return
    found = output.run_async(with_client(lambda client: client.list_workers()))
    if as_json:
        for each in found:
            output.print_json(each)
    elif found:
        output.out.print(tables.workers(found))
    else:
        output.print_message("the fleet has no worker")


@app.command()
def drain(name: _Name, as_json: Json = False) -> None:
    """Start no more sessions on a worker; running ones continue to their ends."""
    _set(name, draining=True, as_json=as_json)


@app.command()
def undrain(name: _Name, as_json: Json = False) -> None:
    """Let sessions start on a worker again."""
    _set(name, draining=False, as_json=as_json)


def _set(name: str, *, draining: bool, as_json: bool) -> None:
    resource = name if name.startswith("workers/") else f"workers/{name}"
    changed = with_client(lambda client: client.drain_worker(resource, draining=draining))
    worker = output.run_async(changed)
    if as_json:
        output.print_json(worker)
        return
    left = f"; {worker.running_sessions} running sessions continue" if worker.running_sessions else ""
    word = f"is drained{left}" if worker.draining else "takes work again"
    output.line(f"{worker.name.removeprefix('workers/')} {word}")
