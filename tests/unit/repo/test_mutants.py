"""The lists and the cache of `make mutants`."""

import json
from pathlib import Path

import pytest

from tests.mutants import cache
from tests.mutants.config import Judged, equivalents, judged
from tests.mutants.mutation import Identity, Mutant
from tests.mutants.verdict import Verdict, verdict_line
from tests.unit.repo.files import ROOT

MODULE = "module.py"
TESTS = ("test_one.py", "test_other.py")
JUDGED = Judged("package", MODULE, TESTS)
FIRST, SECOND = (Identity(MODULE, "f", f"return {number}", "return None", 1) for number in (1, 2))


def test_the_listed_modules_and_tests_exist() -> None:
    """Every module of the list exists, is listed once, and has tests that exist."""
    listed = judged()
    assert len({each.module for each in listed}) == len(listed) > 50
    for each in listed:
        assert each.tests, each.module
        missing = [path for path in (each.module, *each.tests) if not (ROOT / path).is_file()]
        assert missing == [], each.module


def test_equivalent_mutants_are_of_lines_that_exist() -> None:
    """Each equivalent mutant names a listed module, a line of it and a reason."""
    modules = {each.module for each in judged()}
    for mutant, reason in equivalents().items():
        assert mutant.module in modules
        assert reason.strip(), mutant
        lines = [line.strip() for line in (ROOT / mutant.module).read_text(encoding="utf-8").splitlines()]
        assert mutant.line in "\n".join(lines), f"{mutant.module}: {mutant.line}"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with a module that has two mutants, and its two tests."""
    for name in (MODULE, *TESTS):
        (tmp_path / name).write_text("def test_it():\n    assert helper()\n", encoding="utf-8")
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "results")
    found = [Mutant(each, "", range(1), 0) for each in (FIRST, SECOND)]
    monkeypatch.setattr(cache, "mutants", lambda *_, **__: found)
    return tmp_path


def opened() -> cache.Cache:
    return cache.Cache(JUDGED, strings=False)


def judge() -> None:
    """Stores that the first mutant is killed by the first test, and that the second one survives."""
    opened().add(
        [
            verdict_line(FIRST, Verdict.KILLED, "test_one.py::test_it[a::b]"),
            verdict_line(SECOND, Verdict.SURVIVED, "2 tests"),
        ]
    )


TEST = "def test_it():\n    assert helper()\n"


@pytest.mark.parametrize(
    ("changed", "text", "missing"),
    [
        ("test_one.py", TEST, []),
        ("test_one.py", "def test_it():\n    assert 1\n", [FIRST, SECOND]),
        ("test_one.py", f"def helper(): ...\n{TEST}", [FIRST, SECOND]),
        ("test_one.py", "", [FIRST, SECOND]),
        # The test that killed the first mutant still does.
        ("test_one.py", f"{TEST}def test_more(): ...\nclass TestMore: ...\n", [SECOND]),
        ("test_other.py", "", [SECOND]),
        (MODULE, "", [FIRST, SECOND]),
    ],
)
def test_only_what_changed_is_judged_again(
    changed: str, text: str, missing: list[Identity], checkout: Path
) -> None:
    """A result counts while the module and the tests that it depends on are unchanged."""
    assert opened().missing() == [FIRST.key, SECOND.key]
    judge()
    (checkout / changed).write_text(text, encoding="utf-8")
    assert opened().missing() == [each.key for each in missing]


def test_a_damaged_result_is_judged_again(checkout: Path) -> None:
    """A result file that is cut off counts as absent."""
    judge()
    (file,) = (checkout / "results").iterdir()
    assert json.loads(file.read_text(encoding="utf-8"))["results"]
    file.write_text('{"source": ', encoding="utf-8")
    assert opened().missing() == [FIRST.key, SECOND.key]
