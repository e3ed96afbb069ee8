"""Commands about model providers that are on hold."""

from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, tables, words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.client import HeddleClient
from heddle.timing.clock import utc_now

app = typer.Typer()


@app.command()
def holds(as_json: Json = False) -> None:
    """List the model providers on hold: why, until when, and what waits for them."""
    found = output.run_async(with_client(lambda client: client.list_holds()))
    if as_json:
        for each in found:
            output.print_json(each)
    elif found:
        output.out.print(tables.holds(found, utc_now()))
    else:
        output.print_message("no provider is on hold")


@app.command()
def lift(
    provider: Annotated[
        str,
        typer.Argument(
            metavar="[PROVIDER]",
            help="The provider, as listed by `heddle holds`; optional if there is only one.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Lift the hold of a provider: its agents may start at once, and the runs it paused resume."""

    async def lifted(client: HeddleClient) -> tuple[str, list[str]]:
        name = provider or _only(await client.list_holds())
        return name, await client.lift_hold(name)

    name, resumed = output.run_async(with_client(lifted))
    if as_json:
        output.print_json(pb.LiftHoldResponse(resumed_runs=resumed))
        return
    output.line(f"{words.plain(name)} may start again")
    for run in resumed:
        output.line(f"{run.removeprefix('runs/')} resumed")


def _only(found: list[pb.Hold]) -> str:
    if not found:
        raise Failure("no provider is on hold")
    if len(found) > 1:
        listed = "".join(f"\n  {words.plain(each.provider)}" for each in found)
        raise Failure(f"{len(found)} providers are on hold; name one:{listed}", BAD_INPUT)
    return found[0].provider
