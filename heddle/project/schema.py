"""The JSON Schema of .heddle.yaml, for editors. Rewritten by `python -m heddle.project.schema`."""

from pathlib import Path
from typing import Final

from heddle.plan.schema import text_of
from heddle.project.model import ProjectFile

FILE: Final = Path(__file__).parent / "project.schema.json"


def text() -> str:
    """Returns the expected content of the shipped file."""
    return text_of(ProjectFile)


if __name__ == "__main__":
    FILE.write_text(text())
