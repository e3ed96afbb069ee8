"""Imports that a command does not wait for."""

import subprocess
import sys

import pytest

# Each of these takes a tenth of a second or more. pydantic does too, but reads the settings of every program.
SLOW = ("structlog", "sqlalchemy", "nicegui")


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("heddle.cli.app", SLOW),
        ("worktree_svc.app", ("sqlalchemy", "nicegui")),
        ("scheduler_svc.app", ("nicegui",)),
    ],
)
def test_a_start_does_not_wait_for_what_only_some_need(module: str, slow: tuple[str, ...]) -> None:
    """Libraries that only a few commands need are not imported at startup."""
    asked = f"import sys, {module}; print(*(name for name in {slow} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
