"""docs/architecture.md lists the folders that the import contracts contain."""

import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.unit.repo.files import ROOT

# A container of one contract that is a row in another package's table.
NESTED = {"scheduler_svc.store"}


def contracts() -> Iterator[tuple[str, list[str]]]:
    """Yields each package with layers, and the names of its layers from top to bottom."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            (package,) = contract["containers"]
            if package not in NESTED:
                yield package, [name for layer in contract["layers"] for name in re.findall(r"\w+", layer)]


@pytest.mark.parametrize(("package", "layers"), list(contracts()), ids=lambda value: str(value)[:20])
def test_every_layer_is_on_the_map(package: str, layers: list[str]) -> None:
    """The page lists the layers of each package in the order that the contract enforces."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folder = package.replace(".", "/")
    _, table, rest = text.partition(f"| `{folder}/` | |\n")
    assert table, f"{folder} has no table"
    rows = rest.partition("\n\n")[0].splitlines()[1:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
    assert named == layers
