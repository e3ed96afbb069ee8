"""Results of earlier runs, so that only what changed is judged again.

A result depends on the module and on the tests. A killed mutant stays killed while the module and
the file of the test that killed it are unchanged; a survivor is judged again if any of its tests changes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
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


class Cache:
    """The mutants of one module and what is known about them."""

    def __init__(self, judged: Judged, *, strings: bool) -> None:
        self._file = FOLDER / f"{judged.module.replace('/', '.')}{'.strings' if strings else ''}.json"
        self._source = _hash([ROOT / judged.module, *(HERE / name for name in _TOOL)])
        self._tests = {test: _hash([ROOT / test]) for test in judged.tests}
        stored = self._stored()
        if stored.get("source") == self._source:
            self.identities = [Identity(*each) for each in stored["mutants"]]
            known: Mapping[str, list[str]] = stored["results"]
        else:
            path = ROOT / judged.module
            self.identities = [each.identity for each in mutants(path, judged.module, strings=strings)]
            stored, known = {"tests": {}}, {}
        same = {test for test, digest in self._tests.items() if stored["tests"].get(test) == digest}
        complete = same == set(self._tests) == set(stored["tests"])
        self.results = {
            key: Result(Verdict(verdict), by)
            for key, (verdict, by) in known.items()
            if complete or (verdict == Verdict.KILLED and by.partition("::")[0] in same)
        }

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
            self.results[said["mutant"]] = Result(Verdict(said["verdict"]), said["by"])
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
