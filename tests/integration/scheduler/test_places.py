"""Runs whose epics work on several workers, which fail in all the ways that workers and remotes do."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import pytest

from agent_svc.agents.scripted.picture import draw
from heddle import pb
from tests.support.places import AGENT, events_of, places
from tests.support.repositories import git
from tests.support.scheduler import eventually


async def test_one_run_uses_all_workers(tmp_path: Path) -> None:
    """A run is as wide as the fleet: each epic has a place, keeps it, and is merged where the run is."""
    async with places(tmp_path, count=4) as fleet, fleet.scheduler.client(patience=60) as client:
        keys = [f"e{number}" for number in range(4)]
        run = await client.create_run(fleet.request({key: ["one", "two"] for key in keys}))
        assert run.max_parallel == 4
        at_work = await fleet.until_at_work(*(f"{key}-one-1" for key in keys))
        assert sorted(at_work.values()) == ["w1", "w2", "w3", "w4"]
        fleet.let_go()
        told = await events_of(client, run.name)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        for key in keys:
            assert fleet.at_work()[f"{key}-two-1"] == at_work[f"{key}-one-1"]
        assert fleet.merged() == {
            f"{key}-{task}": f"1@{at_work[f'{key}-one-1']}" for key in keys for task in ("one", "two")
        }
        assert not any(event.HasField("epic_moved") or event.HasField("push_failed") for event in told)


async def test_an_epic_whose_worker_is_lost_continues_on_another_one(tmp_path: Path) -> None:
    """When the lease of a dead worker has expired, its epic continues from its last accepted commit, and no retry is used.

    When the worker is back, with what the lost attempt left there, that is archived and removed. Screenshots of
    accepted work are shown meanwhile.
    """
    async with (
        places(tmp_path, count=2, lease=8) as fleet,
        fleet.scheduler.client(patience=60) as client,
    ):
        request = fleet.request({"a": ["one", "two", "three"]})
        shows = "mkdir -p .heddle/screenshots; cp $STAGE/page.png .heddle/screenshots/; "
        request.plan.epics[0].tasks[0].agent = AGENT.replace("command:", f"command:{shows}")
        page = draw("The page")
        (fleet.stage / "page.png").write_bytes(page)
        run = (await client.create_run(request)).name
        first = (await fleet.until_at_work("a-one-1"))["a-one-1"]
        other = "w2" if first == "w1" else "w1"
        fleet.let_go("a-one")
        assert (await fleet.until_at_work("a-two-1"))["a-two-1"] == first
        lost = fleet.workers[first]
        (path,) = lost.home.glob("worktrees/*/a")
        (path / "left.txt").write_text("left\n")
        # Its agent lives on, as on a machine that only the scheduler cannot reach.
        lost.kill("worktree_svc")
        lost.kill("agent_svc")
        # What the session showed there has been copied.
        shown = await client.read_artifact(
            f"{run}/epics/a/tasks/one/attempts/1", f"sha256:{hashlib.sha256(page).hexdigest()}"
        )
        assert shown == page
        assert (await fleet.until_at_work("a-two-2"))["a-two-2"] == other
        assert (await client.list_epics(run))[0].last_move.reason == f"{first} was lost (no retry used)"
        await lost.start("worktree_svc", "agent_svc")
        await eventually(lambda: not path.exists())
        (mirror,) = lost.home.glob("mirrors/*.git")
        archived = git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heddle/archive")
        assert "left.txt" in git(mirror, "ls-tree", "--name-only", archived).split()
        fleet.let_go()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        states = [each.state for each in await client.list_attempts(f"{run}/epics/a/tasks/two")]
        assert states == [pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_ACCEPTED]
        (moved,) = [event.epic_moved for event in told if event.HasField("epic_moved")]
        assert (moved.from_worker, moved.to_worker) == (first, other)
        assert moved.reason == f"{first} was lost (no retry used)"
        assert fleet.merged() == {
            "a-one": f"1@{first}",
            "a-two": f"2@{other}",
            "a-three": f"1@{fleet.at_work()['a-three-1']}",
        }


async def test_a_worker_that_was_frozen_gets_nothing_accepted(tmp_path: Path) -> None:
    """A machine that freezes until its lease has expired loses its epic; when it goes on, its work is refused and stopped."""
    async with (
        places(tmp_path, count=2, lease=8) as fleet,
        fleet.scheduler.client(patience=60) as client,
    ):
        run = (await client.create_run(fleet.request({"a": ["one", "two"]}))).name
        first = (await fleet.until_at_work("a-one-1"))["a-one-1"]
        other = "w2" if first == "w1" else "w1"
        frozen = [fleet.workers[first].process_id(each) for each in ("worktree_svc", "agent_svc")]
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        try:
            assert (await fleet.until_at_work("a-one-2"))["a-one-2"] == other
            fleet.let_go("a-one")
            # Accepted there before the other one continues.
            await fleet.until_at_work("a-two-1")
        finally:
            for process in frozen:
                os.kill(process, signal.SIGCONT)

        async def is_idle() -> bool:
            found = {each.name: each for each in await client.list_workers()}[f"workers/{first}"]
            return found.connected and found.running_sessions == 0

        await eventually(is_idle)
        fleet.let_go()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        accepted = [event for event in told if event.HasField("task_accepted")]
        assert len(accepted) == 2
        assert fleet.merged()["a-one"] == f"2@{other}"
        head = git(fleet.remote, "rev-parse", f"{ended.branch.removesuffix('/merged')}/epics/a")
        assert head == accepted[-1].task_accepted.commit


async def test_an_epic_continues_after_its_worker_lost_its_disk_or_left_the_fleet(tmp_path: Path) -> None:
    """A wiped disk, and a worker that the fleet no longer has, cost an attempt and nothing else; a cancelled run ends."""
    async with places(tmp_path, count=2, lease=8) as fleet:
        async with fleet.scheduler.client(patience=60) as client:
            run = (await client.create_run(fleet.request({"a": ["one", "two", "three"]}))).name
            first = (await fleet.until_at_work("a-one-1"))["a-one-1"]
            fleet.let_go("a-one")
            await fleet.until_at_work("a-two-1")
            wiped = fleet.workers[first]
            for service in ("agent_svc", "worktree_svc"):
                wiped.kill(service)
            # Not removed: what is left of the session may still write there.
            wiped.home.rename(tmp_path / "wiped")
            wiped.home.mkdir()
            await wiped.start("worktree_svc", "agent_svc")
            await fleet.until_at_work("a-two-2")
            fleet.let_go("a-two")
            second = (await fleet.until_at_work("a-three-1"))["a-three-1"]
            cancelled = (await client.create_run(fleet.request({"b": ["one"]}))).name
            await fleet.until_at_work("b-one-1")
        other = "w2" if second == "w1" else "w1"
        fleet.scheduler.stop()
        # The run's own worker stays, because it merges.
        home = (tmp_path / "w1").name
        gone, left = (second, other) if second != home else (other, second)
        fleet.scheduler = fleet.new_scheduler(left)
        await fleet.scheduler.start("scheduler_svc")
        async with fleet.scheduler.client(patience=60) as client:
            assert (await client.cancel_run(cancelled)).state in {
                pb.RUN_STATE_CANCELLED,
                pb.RUN_STATE_CANCELLING,
            }
            fleet.let_go()
            await events_of(client, cancelled)
            await events_of(client, run)
            ended = await client.get_run(run)
            assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
            states = [each.state for each in await client.list_attempts(f"{run}/epics/a/tasks/two")]
            assert states == [pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_ACCEPTED]
        assert sorted(fleet.merged()) == ["a-one", "a-three", "a-two"]
        assert gone in fleet.workers


async def test_acceptance_waits_for_the_remote_and_a_leader_is_replaced_meanwhile(tmp_path: Path) -> None:
    """While the remote is away, nothing is accepted and the place is kept; leaders that die in a placement repeat it."""
    async with places(tmp_path, count=2) as fleet:
        fleet.scheduler.kill("scheduler_svc")
        async with fleet.scheduler.client(patience=300) as client:
            # Answered by any of the leaders: the first can die before it answers.
            creating = asyncio.create_task(
                client.create_run(fleet.request({"a": ["one", "two"]}, request_id="once"))
            )
            for point in ("act_on.after_commit", "EnsureWorktree.after_call"):
                # Each of them dies after it has chosen the place, or after the worker has taken it.
                process = fleet.scheduler.spawn("scheduler_svc", {"HEDDLE_FAILPOINT": point})
                await asyncio.to_thread(process.wait)
            await fleet.scheduler.start("scheduler_svc")
            run = (await creating).name
            first = (await fleet.until_at_work("a-one-1"))["a-one-1"]
            away = fleet.remote.rename(tmp_path / "away.git")
            fleet.let_go("a-one")
            watch = client.watch_run(run)
            async for answer in watch:
                if any(event.HasField("environment_fault") for event in answer.events):
                    break
            task = (await client.list_tasks(f"{run}/epics/a"))[0]
            assert task.state == pb.TASK_STATE_RUNNING
            fleet.scheduler.kill("scheduler_svc")
            await fleet.scheduler.start("scheduler_svc")
            away.rename(fleet.remote)
            assert (await fleet.until_at_work("a-two-1"))["a-two-1"] == first
            fleet.let_go()
            told = await events_of(client, run)
            ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert [event.HasField("task_started") for event in told].count(True) == 2
        assert fleet.merged() == {"a-one": f"1@{first}", "a-two": f"1@{first}"}


@pytest.mark.parametrize("arrives", [True, False])
async def test_another_worker_merges_if_that_of_the_run_is_lost(tmp_path: Path, arrives: bool) -> None:
    """The worker of a run dies for good after a merge, which reached the remote or is made again; the rest follows."""
    async with (
        places(tmp_path, count=2, lease=8) as fleet,
        fleet.scheduler.client(patience=60) as client,
    ):
        run = (await client.create_run(fleet.request({"a": ["one"], "b": ["one"]}))).name
        # Of workers with as many free slots, the first becomes the worker of a run.
        home = "w1"
        at_work = await fleet.until_at_work("a-one-1", "b-one-1")
        # The epic that is at home is accepted and merged there; then its worker is gone.
        first, second = ("a", "b") if at_work["a-one-1"] == home else ("b", "a")
        hook = fleet.remote / "hooks" / "update"
        if not arrives:
            hook.write_text('#!/bin/sh\ncase $1 in */merged) kill -9 "$PPID";; esac\n')
            hook.chmod(0o755)
        fleet.let_go(f"{first}-one")
        told: list[pb.Event] = []
        async for answer in client.watch_run(run):
            told += answer.events
            if any(event.HasField("merge_finished" if arrives else "environment_fault") for event in told):
                break
        assert any(event.HasField("merge_finished") for event in told) == arrives
        for service in ("agent_svc", "worktree_svc"):
            fleet.workers[home].kill(service)
        hook.unlink(missing_ok=True)
        fleet.let_go()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        (moved,) = [event.run_moved for event in told if event.HasField("run_moved")]
        other = at_work[f"{second}-one-1"]
        assert (moved.from_worker, moved.to_worker) == (home, other)
        assert fleet.merged() == {f"{first}-one": f"1@{home}", f"{second}-one": f"1@{other}"}
        assert git(fleet.remote, "rev-list", "--count", "--merges", "trunk") == "3"


async def test_worktrees_and_diffs_of_placed_epics(tmp_path: Path) -> None:
    """Diffs of all epics come from where the run is; worktrees are listed, archived and restored where each epic is."""
    async with places(tmp_path, count=2) as fleet, fleet.scheduler.client(patience=60) as client:
        run = (await client.create_run(fleet.request({"a": ["one"], "b": ["one", "two"]}))).name
        at_work = await fleet.until_at_work("a-one-1", "b-one-1")
        fleet.let_go("a-one")
        fleet.let_go("b-one")
        await fleet.until_at_work("b-two-1")
        # Each adds one line to one file.
        for name in (f"{run}/epics/b", f"{run}/epics/b/tasks/one/attempts/1"):
            diff = (await client.get_diff(name)).text
            assert f"+1@{at_work['b-one-1']}" in diff.splitlines(), diff
        place = fleet.workers[at_work["b-one-1"]]
        (path,) = place.home.glob("worktrees/*/b")
        await client.cancel_run(run)
        await events_of(client, run)
        # As someone who looks into it leaves it.
        (path / "left.txt").write_text("left\n")
        found = {each.name.split("/")[3]: each for each in await client.list_epic_worktrees(run)}
        assert found["b"].worker == at_work["b-one-1"]
        assert found["b"].path == str(path)
        removed = await client.remove_epic_worktree(found["b"].name)
        assert removed.archive_commit
        assert not path.exists()
        restored = await client.restore_epic_worktree(found["b"].name)
        assert restored.worker == at_work["b-one-1"]
        assert (path / "left.txt").read_text() == "left\n"


async def test_a_drained_worker_is_left(tmp_path: Path) -> None:
    """Epics of a drained worker continue on others after their attempts; the worktrees there are archived and removed."""
    async with places(tmp_path, count=2) as fleet, fleet.scheduler.client(patience=60) as client:
        run = (await client.create_run(fleet.request({"a": ["one", "two"]}))).name
        first = (await fleet.until_at_work("a-one-1"))["a-one-1"]
        other = "w2" if first == "w1" else "w1"
        await client.drain_worker(f"workers/{first}")
        fleet.let_go("a-one")
        assert (await fleet.until_at_work("a-two-1"))["a-two-1"] == other
        await eventually(lambda: not list(fleet.workers[first].home.glob("worktrees/*/a")))
        fleet.let_go()
        told = await events_of(client, run)
        assert (await client.get_run(run)).state == pb.RUN_STATE_SUCCEEDED
        assert [event.epic_moved.reason for event in told if event.HasField("epic_moved")] == [
            f"{first} was drained"
        ]
        assert fleet.merged() == {"a-one": f"1@{first}", "a-two": f"1@{other}"}
