"""Reads a plan file for a command, or ends the command with every error at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from heddle import pb
from heddle.cli.console import words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.plan import file

# A larger text would not fit into a request next to its plan.
_MOST_BYTES: Final = 3_900_000


class Given(NamedTuple):
    """A plan, and the text of its file if that can be sent with it, otherwise an empty text."""

    plan: pb.Plan
    text: str
    # The values of its inputs, defaults included.
    inputs: Mapping[str, str]


def read(path: Path, inputs: Sequence[str] = ()) -> pb.Plan:
    """Returns the plan in `path`; raises Failure with a line for each error."""
    return read_with_text(path, inputs).plan


def read_with_text(path: Path, inputs: Sequence[str] = ()) -> Given:
    """Returns the plan in `path` and its text; raises Failure with a line for each error.

    `inputs` has values of the plan's inputs as NAME=VALUE.
    """
    loaded = file.load(path, _values(inputs))
    if loaded.problems:
        count = words.count(len(loaded.problems), "error")
        raise Failure(f"{loaded.describe()}\n{count}; nothing was created", BAD_INPUT)
    fits = len(loaded.text.encode()) + loaded.plan.ByteSize() <= _MOST_BYTES
    return Given(loaded.plan, loaded.text if fits else "", loaded.inputs)


def _values(inputs: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for each in inputs:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise Failure(f"--input takes NAME=VALUE, not {each!r}", BAD_INPUT)
        if name in values:
            raise Failure(f"--input {name} is given twice", BAD_INPUT)
        values[name] = value
    return values
