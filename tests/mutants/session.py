"""A pytest session that collects tests once and runs them in forks."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from tests.mutants.config import HERE, ROOT
from tests.mutants.mutation import Mutant

# Examples of each property test; they are the same ones each time.
EXAMPLES: Final = 20

# The least limit of one mutant, in seconds of processor time.
LEAST_SECONDS: Final = 1.5

PLUGINS: Final = ("pytest_asyncio.plugin", "_hypothesis_pytestplugin")

settings.register_profile(
    "mutants",
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def limit(seconds: float) -> float:
    """Returns the seconds of processor time after which tests that usually take `seconds` are ended."""
    return LEAST_SECONDS + 5 * seconds


def arguments(tests: Iterable[str], scratch: Path) -> list[str]:
    """Returns the arguments of a pytest that runs `tests`."""
    return [
        f"--rootdir={ROOT}",
        f"--config-file={HERE / 'pytest.ini'}",
        f"--basetemp={scratch}",
        "--quiet",
        "--exitfirst",
        *(argument for plugin in PLUGINS for argument in ("-p", plugin)),
        "-p",
        "no:cacheprovider",
        *tests,
    ]


@dataclass
class Trace:
    """Which lines and functions of the module each test executes, and the seconds of processor time that it takes."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, set[int]] = field(default_factory=dict)
    functions: dict[str, set[int]] = field(default_factory=dict)


class Session:
    """A pytest plugin: collects the tests once, then runs them in forks."""

    def __init__(self, path: Path, judge: "Callable[[Session], None]") -> None:
        self.file = str(path)
        self.items: dict[str, pytest.Item] = {}
        # Functions of the module, by first line, that run while tests are collected.
        self.early: set[int] = set()
        self.trace = Trace()
        self._judge = judge

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            few_examples(item)
            self.items[item.nodeid] = item

    def pytest_runtestloop(self) -> bool:
        sys.setprofile(None)
        self._judge(self)
        return True

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Records functions that run before the tests do."""
        if event == "call" and frame.f_code.co_filename == self.file:
            self.early.add(frame.f_code.co_firstlineno)

    def measure(self) -> list[str]:
        """Fills `trace`; returns the tests that fail without a mutant."""
        failed: list[str] = []
        for name, item in self.items.items():
            lines: set[int] = set()
            functions: set[int] = set()
            tracer = _tracer(self.file, lines, functions)
            threading.settrace(tracer)
            sys.settrace(tracer)
            began = time.process_time()
            try:
                passed = _passes(item, None)
            finally:
                sys.settrace(None)
                threading.settrace(None)
            if not passed:
                failed.append(name)
            self.trace.seconds[name] = time.process_time() - began
            if functions:
                self.trace.lines[name], self.trace.functions[name] = lines, functions
        return failed

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Returns the tests that can notice the mutant, the fastest first."""
        seconds = self.trace.seconds
        if not mutant.body_of or mutant.body_of in self.early:
            # A constant or a class has an effect without a line of the module that runs in the test.
            return sorted(self.items, key=lambda name: (name not in self.trace.lines, seconds[name]))
        places = set(mutant.lines)
        unreached = not any(lines & places for lines in self.trace.lines.values())
        names = [
            name
            for name, lines in self.trace.lines.items()
            if lines & places or (unreached and mutant.body_of in self.trace.functions[name])
        ]
        return sorted(names, key=seconds.__getitem__)

    def run(self, names: Sequence[str]) -> str:
        """Runs tests up to the first failure; returns its name, or nothing. Each has its own limit of time."""
        items = [self.items[name] for name in names]
        for item, following in zip(items, [*items[1:], None], strict=True):
            signal.setitimer(signal.ITIMER_PROF, limit(self.trace.seconds[item.nodeid]))
            if not _passes(item, following):
                return item.nodeid
        return ""


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    reports = runtestprotocol(item, log=False, nextitem=following)
    return not any(report.failed for report in reports)


def few_examples(item: pytest.Item) -> None:
    """Limits the examples of a test that asks for more than the profile."""
    name = "_hypothesis_internal_use_settings"
    function = getattr(item, "obj", None)
    given = getattr(function, name, None)
    if given is not None:
        few = settings(
            given,
            max_examples=min(EXAMPLES, given.max_examples),
            derandomize=True,
            database=None,
            deadline=None,
        )
        setattr(getattr(function, "__func__", function), name, few)


def _tracer(file: str, lines: set[int], functions: set[int]) -> Any:
    def local(frame: FrameType, *_: object) -> Any:
        lines.add(frame.f_lineno)
        return local

    def trace(frame: FrameType, *_: object) -> Any:
        if frame.f_code.co_filename != file:
            return None
        functions.add(frame.f_code.co_firstlineno)
        lines.add(frame.f_lineno)
        return local

    return trace
