"""The JSON Schema of .heddle.yaml, for editors. `python -m heddle.project.schema` writes the shipped one anew."""

from pathlib import Path
from typing import Final

from heddle.plan.schema import text_of
from heddle.project.model import ProjectFile

FILE: Final = Path(__file__).parent / "project.schema.json"


def text() -> str:
    """Returns what the shipped file must hold."""
    return text_of(ProjectFile)


if __name__ == "__main__":
    FILE.write_text(text())
