"""What the command reports about a project's .heddle.yaml without a server."""

import json
from pathlib import Path

from heddle import samples
from tests.integration.cli.test_usage import NOWHERE
from tests.support.commands import run
from tests.support.repositories import git, make_repository

FILE = """
setup: npm ci
copy: [.env]
link: [{path: .cache, source: cache}]
ports: 1
checks: [npm test]
"""


async def test_plan_check_says_what_the_project_does(tmp_path: Path) -> None:
    """With --repo, it shows the effects of the committed file, and that the file in the checkout differs."""
    project = make_repository(tmp_path / "project", {".heddle.yaml": FILE})
    arguments = ("plan", "check", str(samples.PLAN), "--repo", str(project))
    code, out, _ = await run(*arguments, env=NOWHERE)
    assert code == 0
    assert "setup, once in each worktree: npm ci" in out
    assert "copied from your checkout into each worktree: .env" in out
    assert "in the checkout differs" not in out
    (project / ".heddle.yaml").write_text("setup: [")
    code, out, _ = await run(*arguments, env=NOWHERE)
    assert code == 0
    assert "in the checkout differs" in out
    _, out, _ = await run(*arguments, "--json", env=NOWHERE)
    assert json.loads(out)["project_file"]["setup"] == ["npm ci"]


async def test_mistakes_of_the_project_come_all_at_once(tmp_path: Path) -> None:
    """`plan check --repo` and `doctor --repo` report every error of the file with its line."""
    project = make_repository(tmp_path / "project", {".heddle.yaml": "ports: x\nsetpu: y\n"})
    code, out, err = await run("plan", "check", str(samples.PLAN), "--repo", str(project), env=NOWHERE)
    assert (code, out) == (2, "")
    assert ".heddle.yaml:1:1: ports: is 'x'; it must be a whole number" in err
    assert ".heddle.yaml:2:1: setpu: unknown key, did you mean setup?" in err
    env = {**NOWHERE, "HEDDLE_HOME": str(tmp_path / "home")}
    code, out, _ = await run("doctor", "--repo", str(project), env=env)
    assert code == 1
    assert "setpu: unknown key" in out
    git(project, "rm", "--quiet", ".heddle.yaml")
    git(project, "commit", "--quiet", "--message=Without")
    _, out, _ = await run("doctor", "--repo", str(project), env=env)
    assert "not found" in out
    code, _, err = await run("plan", "check", str(samples.PLAN), "--repo", str(tmp_path), env=NOWHERE)
    assert code == 2
    assert "is not a git repository" in err


async def test_doctor_names_filters_and_what_was_set_aside(tmp_path: Path) -> None:
    """Filters of the project that do not run are an error of `doctor --repo`; worktrees that were set aside are named."""
    project = make_repository(tmp_path / "project", {".gitattributes": "*.secret filter=crypt\n"})
    git(project, "config", "filter.crypt.clean", "crypt clean")
    (tmp_path / "home" / "aside" / "r1-api-1").mkdir(parents=True)
    env = {**NOWHERE, "HEDDLE_HOME": str(tmp_path / "home"), "HEDDLE_FILTERS": "none"}
    code, out, _ = await run("doctor", "--repo", str(project), env=env)
    assert code == 1
    assert f"✗ git filters of {project}: files of the project have the filter crypt" in out
    assert "start the worker with HEDDLE_FILTERS=crypt" in out
    assert "- set aside: " in out
    assert f"sudo rm -rf {tmp_path / 'home' / 'aside' / 'r1-api-1'}" in out
