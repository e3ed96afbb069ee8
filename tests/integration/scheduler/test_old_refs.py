"""Refs that ended runs have left at the remote of their project are removed, and their epics can still continue."""

import asyncio
import signal
from pathlib import Path

from heddle import pb
from heddle.client import HeddleClient
from tests.support.places import Places, events_of, places
from tests.support.repositories import git
from tests.support.scheduler import eventually

# Fails until the test lets its task go.
FAILS = 'command:[ -e "$STAGE/go-b" ] && echo x > b.txt'


async def test_old_refs_leave_the_remote_although_leaders_die_and_the_remote_is_away(tmp_path: Path) -> None:
    """What was merged leaves no ref of an epic; an epic whose last task failed is retried on top of that, with a claim of its own."""
    async with places(tmp_path, count=1, HEDDLE_KEEP_WORKTREES="0.000000001") as fleet:
        remote = fleet.remote
        fleet.let_go()
        async with fleet.scheduler.client(patience=60) as client:
            request = fleet.request({"a": ["one"], "b": ["one", "two"]})
            request.plan.epics[1].tasks[1].agent = FAILS
            run = (await client.create_run(request)).name
            await events_of(client, run)
            assert (await client.get_run(run)).state == pb.RUN_STATE_FAILED
            key = run.split("/")[1]
            assert len(of_heddle(remote)) == 7
            away = remote.with_name("away")
            remote.rename(away)
            await die_at("leave_claims.after_commit", fleet, client)
            assert not remote.exists()
            away.rename(remote)
            await die_at("RemoveRemoteRefs.after_call", fleet, client)
            assert of_heddle(remote) == {f"refs/heads/heddle/{key}/merged"}
            await fleet.scheduler.start("scheduler_svc")
            (fleet.stage / "go-b").touch()
            await client.retry_task(f"{run}/epics/b/tasks/two")
            told = await events_of(client, run)
            ended = await client.get_run(run)
            assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
            assert not any(event.HasField("environment_fault") for event in told)
            assert f"refs/heddle/claim/{key}/b" in of_heddle(remote)
            await client.collect_garbage()
            await eventually(lambda: of_heddle(remote) == {f"refs/heads/heddle/{key}/merged"})


async def die_at(point: str, fleet: Places, client: HeddleClient) -> None:
    """Has a leader die at a point, when its term begins if the worker is connected by then, or else when it collects garbage."""
    fleet.scheduler.kill("scheduler_svc")
    process = fleet.scheduler.spawn("scheduler_svc", {"HEDDLE_FAILPOINT": point})

    async def is_connected() -> bool:
        return all(each.connected for each in await client.list_workers())

    async def collect() -> None:
        await eventually(is_connected)
        await client.collect_garbage()

    collecting = asyncio.create_task(collect())
    assert await asyncio.to_thread(process.wait, 120) == -signal.SIGKILL
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)


def of_heddle(remote: Path) -> set[str]:
    """Returns the refs of Heddle at the remote."""
    return set(git(remote, "for-each-ref", "--format=%(refname)", "refs/heddle", "refs/heads/heddle").split())
