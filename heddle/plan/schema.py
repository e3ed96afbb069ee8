"""The JSON Schema of plan files, for editors. `python -m heddle.plan.schema` writes the shipped one anew."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from heddle.plan.model import PlanFile

FILE: Final = Path(__file__).parent / "plan.schema.json"


def json_schema() -> dict[str, Any]:
    """Returns the schema of the models as they are now."""
    return PlanFile.model_json_schema()


def text_of(model: type[BaseModel]) -> str:
    """Returns what the schema file of a model holds."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"


def text() -> str:
    """Returns what the shipped file must hold."""
    return text_of(PlanFile)


if __name__ == "__main__":
    FILE.write_text(text())
