"""Commands on plan files."""

import typer

app = typer.Typer(help="Look at plan files.", no_args_is_help=True)


@app.callback()
def plan() -> None:
    """Look at plan files."""
