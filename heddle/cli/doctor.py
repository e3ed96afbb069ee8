"""The doctor command."""

import typer

app = typer.Typer()
