"""Judges the mutants of one module: `python -m tests.mutants.worker`, started by tests/mutants/__main__.py.

One pytest session collects the tests. Each mutant is a fork of it, in which only the code of
the changed function is replaced, and which runs only the tests that execute the changed lines.
A mutant that already matters while modules are imported (a constant, a table, a function that
builds one) is a fork that imports the changed module and everything that builds on it.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final, NoReturn

import pytest
from hypothesis import settings

from tests.mutants.config import ROOT
from tests.mutants.forks import KILLED, NOT_APPLIED, SURVIVED, forked, quiet, report
from tests.mutants.imports import Changed, Importing, Late
from tests.mutants.mutation import Mutant, mutants
from tests.mutants.session import LEAST_SECONDS, Session, Trace, arguments, limit
from tests.mutants.verdict import Verdict, verdict_line

# The output of this program; pytest gets other streams.
STDOUT: Final = os.dup(1)


def functions_of(path: Path) -> list[FunctionType]:
    """Returns the functions that exist now and come from the file, wherever they are stored."""
    return [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType and each.__code__.co_filename == str(path)
    ]


def swap(functions: Iterable[FunctionType], mutant: Mutant) -> bool:
    """Gives existing functions the mutant's code; returns whether that was possible."""
    swapped = False
    changed: dict[tuple[str, int], CodeType] = {}
    for function in functions:
        if not changed:
            whole = compile(mutant.source, function.__code__.co_filename, "exec", dont_inherit=True)
            outer = next(code for code in _codes(whole) if code.co_firstlineno == mutant.body_of)
            changed = {_place(code): code for code in (outer, *_codes(outer))}
        code = changed.get(_place(function.__code__))
        if code is not None:
            if code.co_freevars != function.__code__.co_freevars:
                return False
            swapped = swapped or code.co_firstlineno == mutant.body_of
            function.__code__ = code
    return swapped


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


class Judge:
    """All mutants of one module."""

    def __init__(
        self, module: str, tests: Sequence[str], scratch: Path, *, strings: bool, wanted: set[str] | None
    ) -> None:
        self._path = ROOT / module
        self._name = module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self._tests = tests
        self._scratch = scratch
        found = mutants(self._path, module, strings=strings)
        self._mutants = [each for each in found if wanted is None or each.identity.key in wanted]
        self._late: list[Late] = []

    def run(self) -> int:
        self._preload()
        code, said = forked(self._in_session, seconds=None)
        if code != 0:
            print(f"{self._name}: {said.decode(errors='replace')}", file=sys.stderr)
            return code
        for line in said.splitlines():
            place, tests, seconds = json.loads(line)
            self._late.append(Late(self._mutants[place], tests, 2 * LEAST_SECONDS + limit(seconds)))
        return forked(self._judge_late, seconds=None)[0] if self._late else 0

    def _preload(self) -> None:
        """Imports what does not build on the module, so that forks need not."""
        settings.load_profile("mutants")
        code, said = forked(self._imported, seconds=None)
        if code != 0:
            raise SystemExit(f"{self._name}: its tests cannot be collected\n{said.decode()}")
        missing = Changed(self._name, self._path, None)
        sys.meta_path.insert(0, missing)
        for name in json.loads(said):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        sys.meta_path.remove(missing)

    def _imported(self) -> int:
        before = set(sys.modules)
        with quiet():
            code = pytest.main([*arguments(self._tests, self._scratch), "--collect-only"])
        report(
            [
                name
                for name in sys.modules
                if name not in before and not name.startswith(("tests.unit", "test_", "__"))
            ]
        )
        return int(code)

    def _in_session(self) -> int:
        session = Session(self._path, self._judge_all)
        sys.setprofile(session.profile)
        with quiet():
            pytest.main(arguments(self._tests, self._scratch), plugins=[session])
        return 0 if session.items else 3

    def _judge_all(self, session: Session) -> None:
        def measured() -> int:
            failed = session.measure()
            trace = session.trace
            report([failed, trace.seconds, _listed(trace.lines), _listed(trace.functions)])
            return 0

        code, said = forked(measured, seconds=None)
        if code != 0:
            report(said.decode(errors="replace"))
            os._exit(code)
        failed, seconds, lines, functions = json.loads(said)
        if failed:
            report(f"fail without a mutant: {' '.join(failed)}")
            os._exit(4)
        session.trace = Trace(seconds, _sets(lines), _sets(functions))
        existing = functions_of(self._path)
        # Forks need not look through what their parent has, which would also copy its memory.
        gc.collect()
        gc.freeze()
        for place, mutant in enumerate(self._mutants):
            tests = session.tests_of(mutant)
            expected = sum(seconds[name] for name in tests)
            late = not mutant.body_of or mutant.body_of in session.early
            if not late and not tests:
                _tell(mutant, Verdict.SURVIVED, "no test runs it")
            elif late or not self._judge_fast(session, existing, mutant, tests):
                files = list(dict.fromkeys(name.partition("::")[0] for name in tests))
                report([place, files, expected])

    @staticmethod
    def _judge_fast(
        session: Session, existing: Sequence[FunctionType], mutant: Mutant, tests: Sequence[str]
    ) -> bool:
        """Judges a mutant in a fork of the session; returns False if its code cannot be replaced."""

        def judged() -> int:
            if not swap(existing, mutant):
                return NOT_APPLIED
            by = session.run(tests)
            report(by)
            return KILLED if by else SURVIVED

        expected = sum(session.trace.seconds[name] for name in tests)
        code, said = forked(judged, seconds=limit(expected))
        if code != NOT_APPLIED:
            _tell_end(mutant, code, said, tests)
        return code != NOT_APPLIED

    def _judge_late(self) -> int:
        """Judges mutants in forks of a session that has collected nothing yet."""
        gc.collect()
        gc.freeze()
        session = Importing(self._name, self._path, self._late, _tell_end)
        with quiet():
            code = pytest.main(arguments(self._tests, self._scratch), plugins=[session])
        if session.child:
            report(session.failed)
            os._exit(KILLED if code else SURVIVED)
        return 0 if session.good else 4


def _tell_end(mutant: Mutant, code: int, said: bytes, tests: Sequence[str]) -> None:
    """Reports how a fork ended."""
    if code == SURVIVED:
        _tell(mutant, Verdict.SURVIVED, f"{len(tests)} tests")
    elif code < 0:
        _tell(mutant, Verdict.KILLED, tests[0] if tests else "")
    else:
        lines = said.decode(errors="replace").splitlines()
        by = json.loads(lines[-1]) if lines and lines[-1].startswith('"') else ""
        _tell(mutant, Verdict.KILLED, by or (tests[0] if tests else ""))


def _tell(mutant: Mutant, verdict: Verdict, by: str) -> None:
    os.write(STDOUT, f"{verdict_line(mutant.identity, verdict, by)}\n".encode())


def _listed(sets: dict[str, set[int]]) -> dict[str, list[int]]:
    return {name: sorted(each) for name, each in sets.items()}


def _sets(lists: dict[str, list[int]]) -> dict[str, set[int]]:
    return {name: set(each) for name, each in lists.items()}


def main() -> NoReturn:
    """Reads the module, its tests, a folder for temporary files, and the wanted mutants (None: all) from stdin."""
    asked = json.load(sys.stdin)
    wanted = None if asked["wanted"] is None else set(asked["wanted"])
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    judge = Judge(
        asked["module"], asked["tests"], Path(asked["scratch"]), strings=asked["strings"], wanted=wanted
    )
    sys.exit(judge.run())


if __name__ == "__main__":
    main()
