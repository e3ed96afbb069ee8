"""Results of earlier runs, so that only what changed is judged again.

A result depends on the module and on the tests. A killed mutant stays killed while the module, the
test that killed it and the helpers in its file are unchanged; a survivor is judged again if any of
its tests changes.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.mutants.config import HERE, ROOT, Judged
from tests.mutants.mutation import Identity, mutants
from tests.mutants.verdict import Verdict

FOLDER: Final = ROOT / ".mutants"

# Changes of these files change which mutants there are, or how they are judged.
_TOOL: Final = (
    "operators.py",
    "mutation.py",
    "session.py",
    "imports.py",
    "forks.py",
    "worker.py",
    "pytest.ini",
)


class Result(NamedTuple):
    """A verdict, and the test that noticed the mutant or the reason why none did."""

    verdict: Verdict
    by: str
    # Identifies the text of the test that noticed the mutant. Empty: none did.
    text: str


class Cache:
    """The mutants of one module and what is known about them."""

    def __init__(self, judged: Judged, *, strings: bool) -> None:
        self._file = FOLDER / f"{judged.module.replace('/', '.')}{'.strings' if strings else ''}.json"
        self._source = _hash([ROOT / judged.module, *(HERE / name for name in _TOOL)])
        self._tests = {test: _hash([ROOT / test]) for test in judged.tests}
        stored = self._stored()
        if stored.get("source") == self._source:
            self.identities = [Identity(*each) for each in stored["mutants"]]
            known: dict[str, list[str]] = stored["results"]
        else:
            path = ROOT / judged.module
            self.identities = [each.identity for each in mutants(path, judged.module, strings=strings)]
            stored, known = {"tests": {}}, {}
        same = stored["tests"] == self._tests
        self._texts: dict[str, dict[str, str]] = {}
        self.results = {
            key: Result(Verdict(verdict), by, text)
            for key, (verdict, by, text) in known.items()
            if same or (verdict == Verdict.KILLED and text == self._text_of(by))
        }

    def _text_of(self, test: str) -> str:
        """Returns a digest of a test with what its file has besides other tests."""
        file, _, name = test.partition("::")
        if file not in self._texts:
            self._texts[file] = _tests_of(ROOT / file)
        return self._texts[file].get(name.partition("[")[0].partition("::")[0], "gone")

    def _stored(self) -> dict[str, Any]:
        try:
            stored: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored

    def missing(self) -> list[str]:
        """Returns the keys of the mutants that must be judged."""
        return [each.key for each in self.identities if each.key not in self.results]

    def add(self, lines: Iterable[str]) -> None:
        """Adds what a worker printed, and stores everything."""
        for line in lines:
            said = json.loads(line)
            verdict, by = Verdict(said["verdict"]), said["by"]
            text = self._text_of(by) if verdict == Verdict.KILLED else ""
            self.results[said["mutant"]] = Result(verdict, by, text)
        FOLDER.mkdir(exist_ok=True)
        scratch = self._file.with_suffix(".new")
        content = {
            "source": self._source,
            "tests": self._tests,
            "mutants": self.identities,
            "results": self.results,
        }
        scratch.write_text(json.dumps(content), encoding="utf-8")
        scratch.replace(self._file)


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _tests_of(path: Path) -> dict[str, str]:
    """Returns a digest for each test function and class of a file; for "", that of the whole file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests, helpers = {"": ast.dump(tree)}, []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            node.name.startswith(("test_", "Test"))
        ):
            tests[node.name] = ast.dump(node)
        else:
            helpers.append(ast.dump(node))
    shared = "".join(helpers)
    return {name: hashlib.sha256((shared + text).encode()).hexdigest() for name, text in tests.items()}
