"""The command that prints the operator's token, for other programs."""

import typer

from heddle.cli.console import output
from heddle.cli.console.failure import Failure
from heddle.config import Settings
from heddle.identity import token_file

app = typer.Typer()


@app.command()
def token() -> None:
    """Print the token with which this command signs in, for other programs."""
    settings = Settings.read()
    found = token_file.of_client(settings)
    if not found:
        raise Failure(
            f"there is no token in {token_file.operator_file(settings.home)}; `heddle up` creates it. For the Heddle"
            " of another machine, set HEDDLE_TOKEN"
        )
    output.line(found)
