"""Two epics that change the same line, with real git and an operator who fixes the conflict."""

import os
import subprocess
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from tests.support.fleet import running_fleet
from tests.support.repositories import GIT_ENVIRONMENT, git, make_repository

BEFORE, ONE, TWO = "color = grey", "color = red", "color = blue"


def a_plan() -> pb.Plan:
    """Returns a plan whose second epic conflicts with its first."""
    agents = {"one": f"command:echo '{ONE}' > app.conf", "two": f"command:echo '{TWO}' > app.conf"}
    return pb.Plan(
        name="Conflict",
        epics=[
            pb.PlanEpic(key=key, tasks=[pb.PlanTask(key=f"paint-{key}", prompt="Paint", agent=agent)])
            for key, agent in agents.items()
        ],
    )


async def finished(client: HeddleClient, run: str, after: int = 0) -> list[pb.Event]:
    return [event async for answer in client.watch_run(run, after=after) for event in answer.events]


async def test_conflict_is_told_mended_and_merged(tmp_path: Path) -> None:
    """The second epic conflicts and loses nothing; after the advised fix, a retried merge completes the run."""
    repository = make_repository(tmp_path / "repository", {"app.conf": f"{BEFORE}\n"})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=a_plan(), project=str(repository)))
        events = await finished(client, run.name)

        failed = await client.get_run(run.name)
        assert failed.state == pb.RUN_STATE_FAILED
        epics = await client.list_epics(run.name)
        (conflicted,) = (epic for epic in epics if epic.state == pb.EPIC_STATE_CONFLICTED)
        (merged,) = (epic for epic in epics if epic.state == pb.EPIC_STATE_SUCCEEDED)
        assert failed.reason == f"1 of 2 epics conflicted ({conflicted.key})"
        assert conflicted.conflict_files == ["app.conf"]
        assert conflicted.tasks.accepted == 1
        mine, theirs = (ONE, TWO) if conflicted.key == "one" else (TWO, ONE)
        assert git(repository, "show", f"{conflicted.branch}:app.conf") == mine
        assert git(repository, "show", f"{failed.branch}:app.conf") == theirs
        with pytest.raises(HeddleError) as refused:
            await client.retry_merge(merged.name)
        assert refused.value.reason == pb.ERROR_REASON_WRONG_STATE

        # Nothing was fixed, so the merge conflicts again.
        await client.retry_merge(conflicted.name)
        events += await finished(client, run.name, events[-1].sequence)
        assert (await client.get_run(run.name)).state == pb.RUN_STATE_FAILED

        told = [event.merge_conflicted for event in events if event.HasField("merge_conflicted")]
        assert [list(conflict.files) for conflict in told] == [["app.conf"]] * 2
        follow(told[-1].advice, mended=f"{theirs}, {mine}")
        await client.retry_merge(conflicted.name)
        events += await finished(client, run.name, events[-1].sequence)

        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert ended.reason == ""
    assert git(repository, "show", f"{ended.branch}:app.conf") == f"{theirs}, {mine}"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sum(event.HasField("task_started") for event in events) == 2


def follow(advice: str, mended: str, command: str = "") -> None:
    """Runs the advised commands; at the one comment, fixes app.conf or runs `command`."""
    lines = []
    for line in advice.splitlines():
        # A merge that conflicts exits with 1.
        lines.append(f"! {line}" if line.startswith("git merge ") and not command else line)
        if line.startswith("#"):
            lines.append(command or f"echo '{mended}' > app.conf")
    script = "set -e\n" + "\n".join(lines)
    subprocess.run(
        ["sh", "-c", script], check=True, env={**os.environ, **GIT_ENVIRONMENT}, capture_output=True
    )
