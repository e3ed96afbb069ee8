"""The command that adds a task to a run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client

app = typer.Typer()


@app.command()
def add(
    epic: Annotated[str, typer.Argument(metavar="EPIC", help="RUN/EPIC.")],
    prompt: Annotated[str, typer.Argument(metavar="[PROMPT]", help="What the agent is told.")] = "",
    *,
    file: Annotated[
        str, typer.Option(metavar="PATH", help="Reads the prompt from a file; - is standard input.")
    ] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="Made of the prompt where absent.")] = "",
    key: Annotated[str, typer.Option(metavar="KEY", help="Made of the title where absent.")] = "",
    agent: Annotated[
        str, typer.Option(metavar="NAME", help="That of the epic's last task where absent.")
    ] = "",
    request_id: Annotated[
        str, typer.Option(metavar="ID", help="The same one again adds the task once.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Adds a task to the end of an epic; an epic that has ended, or is merged, goes on."""
    task = pb.PlanTask(key=key, title=title, prompt=_prompt(prompt, file), agent=agent)
    parent = resource_names.epic_name(epic)
    added = output.run_async(with_client(lambda client: client.add_task(parent, task, request_id=request_id)))
    if as_json:
        output.print_json(added)
    else:
        output.line(f"{added.name.removeprefix('runs/')} {words.state(added)}")


def _prompt(prompt: str, file: str) -> str:
    if bool(prompt) == bool(file):
        raise Failure("give the prompt either as PROMPT or with --file", BAD_INPUT)
    if not file:
        return prompt
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", BAD_INPUT) from None
