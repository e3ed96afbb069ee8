"""The command that chooses a candidate of a task."""

from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, words
from heddle.cli.console.arguments import TaskArgument
from heddle.cli.console.output import Json, with_client
from heddle.client import HeddleClient
from heddle.plan.validation.candidate_rules import MOST

app = typer.Typer()


@app.command()
def choose(
    task: TaskArgument,
    candidate: Annotated[
        int, typer.Argument(min=1, max=MOST, metavar="N", help="The number of the candidate, as in TASK@N.")
    ],
    as_json: Json = False,
) -> None:
    """Choose the candidate of a task whose work is accepted; others that still run are stopped."""
    name = str(resource_names.task_name(task))

    async def chosen(client: HeddleClient) -> pb.Task:
        return await client.choose_candidate(name, candidate)

    found = output.run_async(with_client(chosen))
    if as_json:
        output.print_json(found)
    else:
        short = found.name.removeprefix("runs/")
        output.line(f"{short} {words.state(found)}: candidate {found.chosen_candidate} is chosen")
