"""Every promise of docs/web.md is verified by an existing test."""

import ast
import re

from tests.unit.repo.files import ROOT

ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
E2E = ROOT / "tests" / "e2e"


def functions(file: str) -> set[str]:
    tree = ast.parse((E2E / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test_or_a_row_of_the_bench() -> None:
    """Every promise names an existing test or a measured row."""
    rows = ROW.findall((ROOT / "docs" / "web.md").read_text())
    assert [int(number) for number, *_ in rows] == list(range(1, 35))
    bench = (ROOT / "tests" / "bench" / "browser.py").read_text()
    # In the form that the label of the long log has there.
    bench = bench.replace("{LOG_LINES:,}", "100,000")
    for number, _, keepers in rows:
        for keeper in keepers.split("<br>"):
            if keeper.startswith("bench: "):
                label = re.escape(keeper.removeprefix("bench: "))
                assert re.search(rf'"{label}[,"]', bench), f"{number}: {keeper}"
            else:
                file, name = keeper.strip("`").split("::")
                assert name in functions(file), f"{number}: {keeper}"
