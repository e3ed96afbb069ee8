"""The `heddle` command: its subcommands."""

from typing import Annotated

import typer

import heddle
from heddle.cli.admin import doctor, epochs, housekeeping, identity_commands, up, worker_commands
from heddle.cli.console import output
from heddle.cli.console.output import Json
from heddle.cli.plans import apply_command, draft_command, plan_commands, revise_commands, schedule_commands
from heddle.cli.runs import (
    add_task,
    candidate_commands,
    cost_commands,
    hold_commands,
    merge_commands,
    review_commands,
    run_commands,
    task_commands,
)

app = typer.Typer(
    name="heddle",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for part in (
    up,
    draft_command,
    run_commands,
    apply_command,
    task_commands,
    candidate_commands,
    review_commands,
    hold_commands,
    add_task,
    merge_commands,
    housekeeping,
    cost_commands,
    doctor,
    identity_commands,
    epochs,
):
    app.registered_commands += part.app.registered_commands
plan_commands.app.registered_commands += revise_commands.app.registered_commands
app.add_typer(plan_commands.app, name="plan")
app.add_typer(schedule_commands.app, name="schedule")
app.add_typer(identity_commands.tokens, name="tokens")
app.add_typer(worker_commands.app, name="workers")


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"heddle {heddle.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Run fleets of coding agents: epics in parallel worktrees, tasks in order, every agent visible."""


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version of this program."""
    if as_json:
        output.print_plain_json({"version": heddle.__version__})
    else:
        output.line(f"heddle {heddle.__version__}")
