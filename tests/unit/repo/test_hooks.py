"""The hooks before a commit run what CI runs, with the tools that the environment has."""

from typing import Any

import yaml

from tests.unit.repo.files import ROOT
from tests.unit.repo.test_make import make


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [hook for repository in config["repos"] for hook in repository["hooks"]]


def test_hooks_are_targets_of_make() -> None:
    """Every hook is `make TARGET` with a target that is there, and needs no download."""
    for hook in hooks():
        assert hook["language"] == "system", hook["id"]
        program, target = hook["entry"].split()
        assert program == "make", hook["id"]
        make("--dry-run", target)


def test_pushing_runs_what_ci_runs() -> None:
    """The hook before a push is CI's own command."""
    ci = (ROOT / ".ci" / "run").read_text()
    (push,) = (hook["entry"] for hook in hooks() if hook.get("stages") == ["pre-push"])
    assert push in ci.splitlines()
