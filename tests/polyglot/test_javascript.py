"""A program in another language needs only the protos."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.support.fleet import Fleet, running_fleet
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[1] / "protos"


async def run_client(node_modules: Path, fleet: Fleet, repository: Path) -> list[dict[str, Any]]:
    client = await asyncio.create_subprocess_exec(
        "node",
        str(HERE / "client.js"),
        fleet.scheduler,
        str(PROTOS),
        str(repository),
        env={**os.environ, "NODE_PATH": str(node_modules), "HEDDLE_TOKEN": fleet.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    assert client.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


async def test_javascript_runs_a_plan(tmp_path: Path, node_modules: Path) -> None:
    """A JavaScript client starts a run and sees every event of it, in order, until it has succeeded."""
    repository = make_repository(tmp_path / "project")
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as python:

        async def has_worker() -> bool:
            return all(each.connected for each in await python.list_workers())

        await eventually(has_worker)
        *events, end = await run_client(node_modules, fleet, repository)
    assert end == {"state": "RUN_STATE_SUCCEEDED"}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert (kinds[0], kinds.count("task_accepted"), kinds.count("merge_finished")) == ("run_created", 3, 2)
    assert "run_finished" in kinds
    left = [
        event["task"] for event in events if (event["kind"], event.get("epic")) == ("task_accepted", "left")
    ]
    assert left == ["first", "second"]
    branches = git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/heddle/")
    (merged,) = (branch for branch in branches.splitlines() if branch.endswith("/merged"))
    files = git(repository, "ls-tree", "-r", "--name-only", merged).splitlines()
    assert {"left/first.txt", "left/second.txt", "right/only.txt"} <= set(files)
