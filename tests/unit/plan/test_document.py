"""docs/plan.md describes the whole plan format."""

import re
from pathlib import Path

import pytest
import yaml

from heddle.plan.file import parse
from heddle.plan.models.agent_model import Part
from heddle.plan.models.plan_model import PARTS

TEXT = (Path(__file__).parents[3] / "docs" / "plan.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("part", PARTS.values(), ids=lambda part: part.__name__)
def test_every_key_is_described(part: type[Part]) -> None:
    """The page contains each key of a plan file as code."""
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", TEXT))))
    assert part.model_fields.keys() <= words


def test_the_example_is_a_good_plan() -> None:
    """The first example is a valid plan."""
    assert parse(BLOCKS[0], "docs/plan.md").describe() == ""


def test_the_parts_of_plans_are_good() -> None:
    """Each partial example is valid in a task."""
    parts = [block for block in BLOCKS[1:] if yaml.safe_load(block)]
    assert len(parts) == 8
    for part in parts:
        indented = part.replace("\n", "\n        ")
        task = (
            f"name: x\nepics:\n  - key: a\n    tasks:\n      - key: t\n        prompt: x\n        {indented}"
        )
        assert parse(task, "docs/plan.md").describe() == ""
