"""A kind of agent from outside Heddle: runs the example of docs/agents.md from plan file to run branch."""

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from heddle import pb
from heddle.agents import ENTRY_POINT_GROUP
from tests.support.commands import running
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.repositories import git, make_repository

GUIDE = Path(__file__).parents[3] / "docs" / "agents.md"
FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PLAN = """\
name: Notes
budget_usd: 1
epics:
  - key: notes
    tasks:
      - key: write
        agent: notes
        prompt: Remember the milk
        timeout: 1m
        checks:
          - {name: noted, run: grep -qx "Remember the milk" NOTES.md}
"""


def write_example(site: Path) -> dict[str, str]:
    """Writes the guide's files unchanged, and returns the entry points that its pyproject.toml declares."""
    files = dict(FILE.findall(GUIDE.read_text()))
    assert set(files) == {f"notes_agent/{name}.py" for name in ("kind", "driver", "host")} | {
        "pyproject.toml"
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    entry_points: dict[str, str] = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"][
        ENTRY_POINT_GROUP
    ]
    return entry_points


def install(site: Path) -> None:
    """Installs the example as pip would: as a distribution with entry points."""
    lines = [f"{name} = {value}" for name, value in write_example(site).items()]
    info = site / "notes_agent-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notes-agent\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINT_GROUP}]", *lines, ""]))


def register(site: Path) -> None:
    """Adds the example's line to Heddle's own registry in each process that starts."""
    (kind,) = write_example(site).values()
    (site / "sitecustomize.py").write_text(f"from heddle import agents\nagents.REGISTRY.append({kind!r})\n")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("add", [install, register])
async def test_a_plan_runs_with_an_added_kind(add: Callable[[Path], None], tmp_path: Path) -> None:
    """A new kind of agent needs only one folder and one line, in an installed package or in the registry."""
    add(site := tmp_path / "site")
    repository = make_repository(tmp_path / "repository")
    (plan := tmp_path / "plan.yaml").write_text(PLAN)
    # The agent's sandbox hides other files below /tmp.
    found = {"PYTHONPATH": str(site), "HEDDLE_SANDBOX_WRITABLE": str(site)}
    fleet = Fleet(tmp_path / "home", found)
    fleet.commands = {service: [sys.executable, "-m", service] for service in GRPC_SERVICES}
    try:
        await fleet.start(*GRPC_SERVICES)
        for words in (["plan", "check", str(plan)], ["run", str(plan), "--repo", str(repository), "--wait"]):
            async with running(*words, env=fleet.environment, cold=True) as command:
                assert await command.exit_code() == 0, command.out + command.err
        async with fleet.client() as client:
            (worker,) = await client.list_workers()
            (run,) = (await client.list_runs()).runs
    finally:
        fleet.stop()
    (program,) = [each for each in worker.agents if each.name == "notes"]
    assert (program.available, program.provider, list(program.login_variables)) == (
        True,
        "notes-inc",
        ["NOTES_API_KEY"],
    )
    assert program.takes_messages
    assert not program.resumes
    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert git(repository, "show", f"{run.branch}:NOTES.md") == "Remember the milk"
