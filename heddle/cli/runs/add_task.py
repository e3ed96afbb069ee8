"""The command that adds a task to a run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, words
from heddle.cli.console.arguments import EpicArgument
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client

app = typer.Typer()


@app.command()
def add(
    epic: EpicArgument,
    prompt: Annotated[str, typer.Argument(metavar="[PROMPT]", help="The prompt for the agent.")] = "",
    *,
    file: Annotated[
        str, typer.Option(metavar="PATH", help="Read the prompt from a file; - is standard input.")
    ] = "",
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Title of the task. Default: derived from the prompt.")
    ] = "",
    key: Annotated[
        str, typer.Option(metavar="KEY", help="Key of the task. Default: derived from the title.")
    ] = "",
    agent: Annotated[
        str,
        typer.Option(metavar="NAME", help="Agent of the task. Default: the agent of the epic's last task."),
    ] = "",
    request_id: Annotated[
        str, typer.Option(metavar="ID", help="Idempotency key: the task is added once per ID.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Add a task to the end of an epic; an epic that has ended or is merged continues."""
    task = pb.PlanTask(key=key, title=title, prompt=_prompt(prompt, file), agent=agent)
    parent = resource_names.epic_name(epic)
    added = output.run_async(with_client(lambda client: client.add_task(parent, task, request_id=request_id)))
    if as_json:
        output.print_json(added)
    else:
        output.line(f"{added.name.removeprefix('runs/')} {words.state(added)}")


def _prompt(prompt: str, file: str) -> str:
    if bool(prompt) == bool(file):
        raise Failure("give the prompt either as PROMPT or with --file, not both", BAD_INPUT)
    if not file:
        return prompt
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", BAD_INPUT) from None
