"""The list of failpoints matches the code."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain

import pytest

from heddle import failpoints
from tests.unit.repo.files import ROOT

SERVICES = ("heddle", "scheduler_svc", "worktree_svc", "agent_svc")


def trees(*folders: str) -> Iterator[ast.Module]:
    for path in chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders):
        yield ast.parse(path.read_text())


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yields the calls of a function or a method called `name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and last_name(node.func) == name:
            yield node


def last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def literals() -> set[str]:
    """Returns the names that calls of `failpoint` contain as string literals."""
    found = [call.args[0] for tree in trees(*SERVICES) for call in calls(tree, "failpoint")]
    return {str(each.value) for each in found if isinstance(each, ast.Constant)}


def written_by_the_leader() -> set[str]:
    """Returns the names of the leader's transactions: the first arguments of `write` of its term."""
    found = set()
    for tree in trees("scheduler_svc"):
        for call in calls(tree, "write"):
            if last_name(getattr(call.func, "value", call)) in {"lead", "_lead", "term", "_term"}:
                name = call.args[0]
                assert isinstance(name, ast.Constant), f"line {call.lineno}: write the name out"
                found.add(str(name.value))
    return found


def asked_of_workers() -> set[str]:
    """Returns the RPCs of workers that the scheduler calls, except streams that change nothing and that no attempt waits for."""
    found = {
        node.attr
        for tree in trees("scheduler_svc")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and last_name(node.value) in {"agent", "worktree"}
    }
    return {name for name in found if name[0].isupper()} - {"FetchArtifact", "OpenTerminal"}


def test_every_place_is_in_the_list() -> None:
    """The list is exactly the leader's transactions, the calls of workers, and the literal names."""
    assert written_by_the_leader() == set(failpoints.COMMITS)
    assert asked_of_workers() == set(failpoints.CALLS)
    named = {name for name in failpoints.NAMES if name.endswith(("_commit", "_call"))}
    streamed = {
        f"{name}.{when}_call" for name in ("WatchSession", "RunChecks") for when in ("before", "after")
    }
    files = {
        f"{what}.{when}_sync"
        for what in ("spec", "artifact", "agent", "result", "said")
        for when in ("before", "after")
    }
    assert literals() - streamed == failpoints.NAMES - named - files


@pytest.mark.parametrize(
    ("setting", "code"), [("fail.before_commit:2", -signal.SIGKILL), ("", 0), ("fail", 1)]
)
def test_the_process_ends_at_the_place_that_is_named(setting: str, code: int) -> None:
    """SIGKILL comes at the place and pass that is set, if any; a wrong name is refused."""
    passes = (
        "from heddle.failpoints import failpoint\n"
        "for _ in range(2): failpoint('accept.before_commit'); print('passed', flush=True); failpoint('fail.before_commit')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", passes],
        env={**os.environ, "HEDDLE_FAILPOINT": setting},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stdout.count(b"passed") == (0 if code == 1 else 2)
