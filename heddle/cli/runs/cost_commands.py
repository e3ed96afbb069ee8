"""The command that shows costs."""

from collections.abc import AsyncIterator
from typing import Annotated

import typer
from rich.table import Table

from heddle import pb
from heddle.cli.console import output, resource_names, words
from heddle.cli.console.output import Json, with_client
from heddle.cli.console.safe_output import SafeText
from heddle.client import HeddleClient

app = typer.Typer()

# How many of the newest runs are listed for each project.
_RUNS = 20


@app.command()
def costs(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[RUN[/EPIC[/TASK]]]",
            help="Show the costs below it. Default: all projects with their runs.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Show costs by model, and budgets, of projects, runs, epics, tasks and sessions."""
    shown = output.run_async(with_client(lambda client: _shown(client, name)))
    if as_json:
        for cost, _ in shown:
            output.print_json(cost)
    elif shown:
        output.out.print(_table(shown))
    else:
        output.print_message("no runs yet, so no costs")


async def _shown(client: HeddleClient, name: str) -> list[tuple[pb.Cost, int]]:
    """Returns the costs to show from the top down, each with its depth."""
    if not name:
        return await _projects(client)
    ids = name.removeprefix("runs/")
    if "/" not in ids:
        run = resource_names.run_name(name)
        return await _tree(client, run, f"{run}/epics/-")
    part = resource_names.part_name(name)
    if "/tasks/" in part:
        return await _tree(client, part, "")
    return await _tree(client, part, f"{part}/tasks/-")


async def _projects(client: HeddleClient) -> list[tuple[pb.Cost, int]]:
    found: list[tuple[pb.Cost, int]] = []
    async for project in _below(client, ""):
        newest = await client.list_costs(project.name, page_size=_RUNS)
        found += [(project, 0), *((run, 1) for run in newest.costs)]
    return found


async def _tree(client: HeddleClient, top: str, deeper: str) -> list[tuple[pb.Cost, int]]:
    """Returns `top`, its children, and below each child those listed under `deeper` (empty: none)."""
    parents = [each async for each in _below(client, top)]
    children = [each async for each in _below(client, deeper)] if deeper else []
    found = [((await client.list_costs(top, page_size=1)).total, 0)]
    for parent in parents:
        found.append((parent, 1))
        found += [(each, 2) for each in children if each.name.startswith(f"{parent.name}/")]
    return found


async def _below(client: HeddleClient, parent: str) -> AsyncIterator[pb.Cost]:
    token, first = "", True
    while token or first:
        page = await client.list_costs(parent, page_token=token)
        for cost in page.costs:
            yield cost
        token, first = page.next_page_token, False


def _table(shown: list[tuple[pb.Cost, int]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("WHAT", "MODEL"):
        table.add_column(heading, no_wrap=True)
    for heading in ("INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "COST", "BUDGET", "RESERVED"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cost, depth in shown:
        budget = words.dollars(cost.budget_usd_micros) if cost.HasField("budget_usd_micros") else ""
        reserved = words.dollars(cost.reserved_usd_micros) if cost.reserved_usd_micros else ""
        models = cost.usage.models
        model = models[0].model if len(models) == 1 else f"{len(models)} models" if models else ""
        what = SafeText("  " * depth + _called(cost), style="" if depth else "bold")
        table.add_row(what, SafeText(words.plain(model)), *_figures(cost.usage), budget, reserved)
        for each in models if len(models) > 1 else ():
            named = words.plain(each.model) or "(unknown model)"
            table.add_row(
                "", SafeText(named, style="dim"), *(SafeText(f, style="dim") for f in _figures(each.usage))
            )
    return table


def _figures(usage: pb.UsageTotals) -> list[str]:
    kinds = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    return [*map(words.tokens, kinds), words.cost(usage)]


def _called(cost: pb.Cost) -> str:
    """Returns the last id of a name with its title or agent; for a project, its path."""
    if not cost.name.startswith("runs/"):
        return cost.name
    said = cost.title or cost.agent
    last = cost.name.rpartition("/")[2]
    return f"{last}  {words.plain(said)}" if said and said != last else last
