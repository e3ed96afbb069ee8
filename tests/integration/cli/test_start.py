"""Imports that a command does not wait for."""

import subprocess
import sys

import pytest

# Importing these takes longer than importing everything else that a command needs.
SLOW = ("pydantic", "structlog", "sqlalchemy", "nicegui")


@pytest.mark.parametrize(
    ("module", "slow"),
    [("heddle.cli.app", SLOW), ("worktree_svc.app", ("pydantic",)), ("scheduler_svc.app", ("pydantic",))],
)
def test_a_start_does_not_wait_for_what_only_some_need(module: str, slow: tuple[str, ...]) -> None:
    """Libraries that only a few commands need are not imported at startup."""
    asked = f"import sys, {module}; print(*(name for name in {slow} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
