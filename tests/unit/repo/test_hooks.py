"""The hooks use CI's commands and installed tools: quick ones before a commit, all before a push."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.repo.files import ROOT
from tests.unit.repo.test_make import make

# Options that a hook adds to CI's command because it names individual files.
PER_FILE = {"--force-exclude"}
# The paths that CI uses where a hook names files.
EVERYTHING = {"."}


def hooks(stage: str) -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [
        hook
        for repository in config["repos"]
        for hook in repository["hooks"]
        if stage in hook.get("stages", config["default_stages"])
    ]


def words(command: str) -> frozenset[str]:
    return frozenset(shlex.split(command)) - PER_FILE - EVERYTHING


def test_hooks_download_nothing() -> None:
    """Every hook is a command of this repository or of its environment."""
    for hook in hooks("pre-commit") + hooks("pre-push"):
        assert hook["language"] == "system", hook["id"]
        assert hook["entry"].startswith((".venv/bin/", "make ")), hook["id"]


@pytest.mark.parametrize("hook", hooks("pre-commit"), ids=lambda hook: hook["id"])
def test_a_commit_is_checked_by_commands_of_ci(hook: dict[str, Any]) -> None:
    """Each hook before a commit runs a command that `make test` runs too."""
    program, *arguments = hook["entry"].split()
    if program == "make":
        commands = make("--dry-run", "--always-make", *arguments).splitlines()
    else:
        commands = [hook["entry"]]
    ci = {
        words(line.rstrip("\\ "))
        for line in make("--dry-run", "test").splitlines()
        if "'" not in line and '"' not in line
    }
    assert {words(line.rstrip("\\ ")) for line in commands} & ci


def test_a_commit_runs_no_tests() -> None:
    """Hooks before a commit are fast: none runs a test suite, and each applies to one kind of file."""
    for hook in hooks("pre-commit"):
        assert not {"pytest", "test", "unit"} & set(hook["entry"].replace("/", " ").split()), hook["id"]
        assert {"types", "types_or", "files"} & set(hook), hook["id"]


def test_pushing_runs_what_ci_runs() -> None:
    """The hook before a push is CI's own command."""
    ci = (ROOT / ".ci" / "run").read_text()
    (push,) = (hook["entry"] for hook in hooks("pre-push"))
    assert push in ci.splitlines()


def test_the_public_workflow_runs_what_ci_runs() -> None:
    """The workflow for a public forge ends with .ci/run, on the oldest Python, and has no own checks."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    # The other job runs what only macOS can.
    assert workflow["jobs"].keys() == {"test", "macos"}
    job = workflow["jobs"]["test"]
    *_, last = job["steps"]
    assert last == {"run": ".ci/run"}
    (version,) = (step["with"]["python-version"] for step in job["steps"] if "python" in step.get("uses", ""))
    assert f'requires-python = ">={version}"' in (ROOT / "pyproject.toml").read_text()


def run_hook(name: str, *files: Path | str) -> int:
    (entry,) = (hook["entry"] for hook in hooks("pre-commit") if hook["id"] == name)
    command = [*shlex.split(entry), *map(str, files)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


@pytest.mark.parametrize("name", ["ruff-check", "ruff-format"])
def test_only_changed_files_are_judged(name: str, tmp_path: Path) -> None:
    """A Python hook refuses an invalid file that is named, and skips a generated one."""
    bad = tmp_path / "bad.py"
    bad.write_text("import os ;  x=1\n", encoding="utf-8")
    assert run_hook(name, bad) != 0
    assert run_hook(name, "heddle/v1/run_pb2.py") == 0
