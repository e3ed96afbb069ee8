"""The JSON Schema of plan files, for editors. Rewritten by `python -m heddle.plan.schema`."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from heddle.plan.models.plan_model import PlanFile

FILE: Final = Path(__file__).parent / "plan.schema.json"


def json_schema() -> dict[str, Any]:
    """Returns the schema of the current models."""
    return PlanFile.model_json_schema()


def text_of(model: type[BaseModel]) -> str:
    """Returns the content of the schema file of a model."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"


def text() -> str:
    """Returns the expected content of the shipped file."""
    return text_of(PlanFile)


if __name__ == "__main__":
    FILE.write_text(text())
