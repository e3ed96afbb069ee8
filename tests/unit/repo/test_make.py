"""`make help` matches the Makefile."""

import os
import re
import subprocess

from tests.unit.repo.files import ROOT, committed, relative

DOCUMENTED = re.compile(r"\bmake ([a-z-]+)")


def make(*arguments: str) -> str:
    # These tests may run in `make test`, whose variables for its own child processes must not reach them.
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def listed() -> set[str]:
    return {line.split()[1] for line in make("help").splitlines()}


def test_listed_targets_exist() -> None:
    """Every target that `make help` lists exists."""
    targets = listed()
    assert {"run", "test", "check", "proto", "bench", "manifests"} <= targets
    for target in sorted(targets):
        make("--dry-run", target)


def test_mentioned_targets_exist() -> None:
    """Every `make TARGET` that a document mentions is listed."""
    targets = listed()
    missing = [
        f"{relative(path)}: {span}"
        for path in committed("*.md")
        for span in re.findall(r"`(make [^`]*)`", path.read_text())
        if not set(DOCUMENTED.findall(span)) <= targets
    ]
    assert missing == []


def test_ci_runs_what_the_readme_says() -> None:
    """CI has no commands of its own: it calls `make test`."""
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
