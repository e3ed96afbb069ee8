"""A worker that is cut off from the scheduler, from the project's remote, or from both."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.places import Places, events_of
from tests.support.proxy import Proxy
from tests.support.repositories import git


class CutPlaces:
    """Workers w1, on which a first epic and its run are, and w2; w1 can be cut off from the others."""

    def __init__(self, fleet: Places, ways: list[Proxy], way_to_remote: Path) -> None:
        self.fleet = fleet
        self._ways = ways
        self._way_to_remote = way_to_remote

    def cut_from_remote(self) -> None:
        self._way_to_remote.unlink()

    def cut_from_scheduler(self) -> None:
        for way in self._ways:
            way.cut()

    def restore(self) -> None:
        """Ends all partitions."""
        for way in self._ways:
            way.restore()
        if not self._way_to_remote.exists():
            self._way_to_remote.symlink_to(self.fleet.remote)


@asynccontextmanager
async def cut_places(folder: Path, lease: float) -> AsyncIterator[CutPlaces]:
    """Runs both workers and a scheduler; stops them at the end."""
    fleet = Places(folder, 2, lease, {})
    worker, way_to_remote = fleet.workers["w1"], folder / "way.git"
    way_to_remote.symlink_to(fleet.remote)
    settings = folder / "w1.gitconfig"
    settings.write_text(f'[url "file://{way_to_remote}"]\n\tinsteadOf = {fleet.url}\n')
    worker._extra["GIT_CONFIG_GLOBAL"] = str(settings)
    async with AsyncExitStack() as stack:
        ends = (worker.worktree, worker.agent)
        ways = [await stack.enter_async_context(Proxy.to(end)) for end in ends]
        known = fleet.scheduler._extra["HEDDLE_WORKERS"]
        behind = "+".join(way.address for way in ways)
        fleet.scheduler._extra["HEDDLE_WORKERS"] = known.replace("+".join(ends), behind)
        try:
            await fleet.start()
            yield CutPlaces(fleet, ways, way_to_remote)
        finally:
            fleet.let_go()
            fleet.stop()


async def until_told(client: HeddleClient, run: str, *kinds: str) -> None:
    """Returns once the run has an event of each kind."""
    missing = set(kinds)
    async for answer in client.watch_run(run):
        missing -= {str(event.WhichOneof("payload")) for event in answer.events}
        if not missing:
            return


@pytest.mark.parametrize("from_remote", [False, True], ids=["scheduler", "scheduler and remote"])
async def test_a_worker_that_is_cut_off_loses_its_epic_and_its_run(tmp_path: Path, from_remote: bool) -> None:
    """After its lease, the worker has ended its sessions itself, and another one continues from the last accepted commit."""
    async with cut_places(tmp_path, lease=8) as places, places.fleet.scheduler.client(patience=60) as client:
        fleet = places.fleet
        run = (await client.create_run(fleet.request({"a": ["one", "two"]}))).name
        assert (await fleet.until_at_work("a-one-1"))["a-one-1"] == "w1"
        fleet.let_go("a-one")
        await fleet.until_at_work("a-two-1")
        places.cut_from_scheduler()
        if from_remote:
            places.cut_from_remote()
        assert (await fleet.until_at_work("a-two-2"))["a-two-2"] == "w2"
        assert "lease_ended" in fleet.workers["w1"].log("agent_svc")
        places.restore()
        fleet.let_go()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        states = [each.state for each in await client.list_attempts(f"{run}/epics/a/tasks/two")]
        assert states == [pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_ACCEPTED]
        accepted = [event.task_accepted.commit for event in told if event.HasField("task_accepted")]
        assert fleet.merged() == {"a-one": "1@w1", "a-two": "2@w2"}
        assert set(accepted) <= set(git(fleet.remote, "rev-list", "trunk").split())


async def test_a_worker_that_is_cut_off_from_the_remote_alone_keeps_its_epic(tmp_path: Path) -> None:
    """Its acceptance waits, uses no retry, and does not hold up the epics of other workers."""
    async with (
        cut_places(tmp_path, lease=300) as places,
        places.fleet.scheduler.client(patience=60) as client,
    ):
        fleet = places.fleet
        run = (await client.create_run(fleet.request({"a": ["one", "two"], "b": ["one"]}))).name
        at_work = await fleet.until_at_work("a-one-1", "b-one-1")
        assert at_work["a-one-1"] == "w1"
        places.cut_from_remote()
        fleet.let_go()
        await until_told(client, run, "environment_fault", "task_accepted")
        tasks = {each.name.split("/", 3)[3]: each.state for each in await client.list_tasks(f"{run}/epics/-")}
        assert tasks["a/tasks/one"] == pb.TASK_STATE_RUNNING
        assert tasks["b/tasks/one"] == pb.TASK_STATE_ACCEPTED
        places.restore()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert [event.HasField("task_started") for event in told].count(True) == 3
        assert fleet.merged() == {"a-one": "1@w1", "a-two": "1@w1", "b-one": f"1@{at_work['b-one-1']}"}
