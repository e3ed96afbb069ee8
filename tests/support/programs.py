"""Finds the programs of real agents."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.sandbox_setup import trouble

ROOT = Path(__file__).parents[2]

# What tests/agents_setup.py installs from npm.
NODE_PROGRAMS = ROOT / ".venv" / "agents" / "node_modules" / ".bin"


def need_package(module: str) -> None:
    """Skips the test if a Python package of an agent is missing; in CI it fails."""
    if not find_spec(module):
        _missing(f"{module} is not installed; `python -m tests.agents_setup` gets it")


def need_program(name: str) -> Path:
    """Returns a program from npm; skips the test if it is missing; in CI it fails."""
    path = NODE_PROGRAMS / name
    if not path.exists():
        _missing(f"{name} is not installed; `python -m tests.agents_setup` gets it where npm is there")
    return path


def need_sandbox() -> None:
    """Skips the test if bubblewrap does not work; in CI it fails."""
    if problem := trouble():
        _missing(f"{problem}; `python -m tests.sandbox_setup` tries to fix it")


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI runs everything, but {reason}")
    pytest.skip(reason)
