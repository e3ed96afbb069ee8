"""The command that repairs a worker that refuses every leader."""

import time

import typer

from heddle.cli.console import output
from heddle.cli.console.output import Json
from heddle.config import Settings
from heddle.files import fencing

app = typer.Typer()


@app.command("repair-epochs")
def repair_epochs(as_json: Json = False) -> None:
    """Repair a worker that refuses every leader because of an epoch that no leader set (`heddle doctor` finds it)."""
    found = fencing.implausible(Settings.read().home, time.time())
    for path, epoch in found.items():
        # The next request of the current leader raises it again.
        fencing.write(path, 0)
        if as_json:
            output.print_plain_json({"path": str(path), "epoch": epoch})
        else:
            output.line(f"{path}: {epoch} removed; the current leader's next request sets it")
    if not found and not as_json:
        output.print_message("nothing to repair: every epoch on this machine can be a leader's")
