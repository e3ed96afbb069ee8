"""Imports a module from a changed source."""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tests.mutants.config import ROOT
from tests.mutants.forks import SURVIVED, branch
from tests.mutants.mutation import Mutant
from tests.mutants.session import few_examples


class Changed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc]  # typeshed has two signatures of source_to_code()
    """Imports one module from another source, or not at all."""

    def __init__(self, name: str, path: Path, source: str | None) -> None:
        self._name = name
        self._path = path
        self._source = source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> Any:
        if fullname != self._name:
            return None
        if self._source is None:
            raise ImportError(f"{fullname} is not imported yet")
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        # Compiled files of the original module do not count.
        if not str(path).endswith(".py"):
            raise OSError(path)
        assert self._source is not None
        return self._source.encode()


class Late(NamedTuple):
    """A mutant that must be imported, its test files, and its limit in seconds of processor time."""

    mutant: Mutant
    tests: list[str]
    seconds: float


# Reports a mutant, how its fork ended, what the fork reported, and the tests that it was to run.
Tell = Callable[[Mutant, int, bytes, Sequence[str]], None]


class Importing:
    """A pytest plugin: forks for each mutant before the collection. The fork imports it, and collects and runs its tests."""

    def __init__(self, name: str, path: Path, late: Sequence[Late], tell: Tell) -> None:
        self._name = name
        self._path = path
        self._late = late
        self._tell = tell
        self.child = False
        # False: the tests fail even with the unchanged module.
        self.good = False
        # In a fork: the first test that failed.
        self.failed = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> object:
        everything = list(dict.fromkeys(test for each in self._late for test in each.tests))
        end = self._fork(session, self._path.read_text(encoding="utf-8"), everything, None)
        if end is None:
            return None
        self.good = end[0] == SURVIVED
        for each in self._late if self.good else ():
            end = self._fork(session, each.mutant.source, each.tests, each.seconds)
            if end is None:
                return None
            self._tell(each.mutant, *end, each.tests)
        return True

    def _fork(
        self, session: pytest.Session, source: str, tests: Sequence[str], seconds: float | None
    ) -> tuple[int, bytes] | None:
        end = branch(seconds)
        if end is None:
            self.child = True
            sys.meta_path.insert(0, Changed(self._name, self._path, source))
            session.config.args[:] = [str(ROOT / test) for test in tests]
        return end

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            few_examples(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid
