"""Reads a plan file for a command, or ends the command with every error at once."""

from pathlib import Path

from heddle import pb
from heddle.cli.console import words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.plan.file import load


def read(path: Path) -> pb.Plan:
    """Returns the plan in `path`; raises Failure with a line for each error."""
    loaded = load(path)
    if loaded.problems:
        count = words.count(len(loaded.problems), "error")
        raise Failure(f"{loaded.describe()}\n{count}; nothing was created", BAD_INPUT)
    return loaded.plan
