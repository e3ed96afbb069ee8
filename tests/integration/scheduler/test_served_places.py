"""Runs on a project by path whose epics work on several workers: one has the repository and serves it to the others."""

import asyncio
import hashlib
from pathlib import Path

from agent_svc.agents.scripted.picture import draw
from heddle import pb
from heddle.client import HeddleClient
from tests.support.places import AGENT, Places, events_of, places
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually
from tests.support.worktrees import fingerprint


def checkout(folder: Path) -> Path:
    """Returns a user's checkout of main, with changes, and a branch trunk."""
    project = make_repository(folder / "project", {"README.md": "# Sample\n", "a.txt": "a\n"})
    git(project, "branch", "trunk")
    (project / "README.md").write_text("# Staged\n")
    git(project, "add", "README.md")
    return project


def request(fleet: Places, project: Path, epics: dict[str, list[str]]) -> pb.CreateRunRequest:
    return fleet.request(epics, project=str(project), allow_dirty=True, max_parallel=2)


async def create_at_home(client: HeddleClient, asked: pb.CreateRunRequest) -> str:
    """Creates a run whose home is w1; until w2 is no longer drained, no epic starts there. Returns the run's name."""

    async def is_connected() -> bool:
        return all(each.connected for each in await client.list_workers())

    # A busy machine may be slow to connect to a worker, and the run's home would be the other one.
    await eventually(is_connected)
    await client.drain_worker("workers/w2")
    return (await client.create_run(asked)).name


def written(project: Path) -> set[str]:
    """Returns the files that tasks wrote, as merged into trunk."""
    return set(git(project, "ls-tree", "--name-only", "trunk").split()) - {"README.md", "a.txt"}


async def leave_and_collect(client: HeddleClient, fleet: Places, project: Path) -> None:
    """What a person leaves in a worktree at the other worker is archived and restored there, and collected as garbage later."""
    fleet.stage.joinpath("go").unlink()
    other = await create_at_home(client, request(fleet, project, {"c": ["one"], "d": ["one"]}))
    await client.undrain_worker("workers/w2")
    at_work = await fleet.until_at_work("c-one-1", "d-one-1")
    epic = next(attempt[0] for attempt, worker in at_work.items() if attempt[0] in "cd" and worker == "w2")
    (path,) = fleet.workers["w2"].home.glob(f"worktrees/*/{epic}")
    await client.cancel_run(other)
    await events_of(client, other)
    (path / "left.txt").write_text("left\n")
    worktree = f"{other}/epics/{epic}/worktree"
    removed = await client.remove_epic_worktree(worktree)
    assert removed.archive_commit
    assert not path.exists()
    restored = await client.restore_epic_worktree(worktree)
    assert (restored.worker, restored.path) == ("w2", str(path))
    assert (path / "left.txt").read_text() == "left\n"

    # Once that has been kept for long enough, it is removed there, as the sessions' own records are.
    async def is_collected() -> bool:
        assert not (await client.collect_garbage()).problems
        return not path.exists()

    await eventually(is_collected)
    found = {each.name: each for each in await client.list_epic_worktrees(other)}[worktree]
    assert (found.worker, found.path, bool(found.archive_commit)) == ("w2", "", True)
    assert not [*fleet.workers["w2"].home.glob("spool/*/*")]


async def test_a_project_by_path_uses_all_workers(tmp_path: Path) -> None:
    """Each worker has an epic; diffs, screenshots, merges, archives, restores and the collection of garbage work for both.

    The user's own things stay as they are.

    A leader that dies while it asks for access repeats that.
    """
    project = checkout(tmp_path)
    before = fingerprint(project)
    # Two and a half seconds, and no time.
    async with places(tmp_path, count=2, HEDDLE_KEEP_WORKTREES="0.00003", HEDDLE_KEEP_LOGS="0") as fleet:
        fleet.scheduler.kill("scheduler_svc")
        process = fleet.scheduler.spawn("scheduler_svc", {"HEDDLE_FAILPOINT": "GrantRepository.after_call"})
        async with fleet.scheduler.client(patience=60) as client:
            asked = request(fleet, project, {"a": ["one", "two"], "b": ["one", "two"]})
            page = draw("The page")
            (fleet.stage / "page.png").write_bytes(page)
            shows = "mkdir -p .heddle/screenshots; cp $STAGE/page.png .heddle/screenshots/; "
            for each in asked.plan.epics:
                each.tasks[0].agent = AGENT.replace("command:", f"command:{shows}")
            run = await create_at_home(client, asked)
            # The answer may be lost with the leader.
            undraining = asyncio.create_task(client.undrain_worker("workers/w2"))
            await asyncio.to_thread(process.wait)
            await fleet.scheduler.start("scheduler_svc")
            await undraining
            at_work = await fleet.until_at_work("a-one-1", "b-one-1")
            assert sorted(at_work.values()) == ["w1", "w2"]
            away = next(attempt.split("-")[0] for attempt, worker in at_work.items() if worker == "w2")
            fleet.let_go("a-one")
            fleet.let_go("b-one")
            await fleet.until_at_work("a-two-1", "b-two-1")
            for name in (f"{run}/epics/{away}", f"{run}/epics/{away}/tasks/one/attempts/1"):
                assert "+1@w2" in (await client.get_diff(name)).text.splitlines()
            first = f"{run}/epics/{away}/tasks/one/attempts/1"
            assert await client.read_artifact(first, f"sha256:{hashlib.sha256(page).hexdigest()}") == page
            fleet.let_go()
            told = await events_of(client, run)
            ended = await client.get_run(run)
            assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
            assert not any(event.HasField("epic_moved") or event.HasField("push_failed") for event in told)
            assert written(project) == {f"{epic}-{task}.txt" for epic in "ab" for task in ("one", "two")}
            await leave_and_collect(client, fleet, project)
            trunk = git(project, "rev-parse", "trunk")
        logs = [*tmp_path.glob("*/*.log")]
    after = fingerprint(project)
    after["refs"] = after["refs"].replace(trunk, git(project, "rev-parse", "main"))
    assert after == before
    assert len(logs) == 5
    assert not [log for log in logs if "Bearer" in log.read_text() or "extraHeader" in log.read_text()]


async def test_acceptance_waits_for_the_worker_with_the_project_and_its_epics_come_home(
    tmp_path: Path,
) -> None:
    """While the worker that has the project is away, nothing is accepted; an epic of a drained worker continues there."""
    project = checkout(tmp_path)
    async with places(tmp_path, count=2) as fleet, fleet.scheduler.client(patience=60) as client:
        epics = {"a": ["one", "two"], "b": ["one", "two"]}
        run = await create_at_home(client, request(fleet, project, epics))
        await client.undrain_worker("workers/w2")
        at_work = await fleet.until_at_work("a-one-1", "b-one-1")
        epic = next(attempt[0] for attempt, worker in at_work.items() if worker == "w2")
        await client.drain_worker("workers/w2")
        home = fleet.workers["w1"]
        home.kill("worktree_svc")
        fleet.let_go(f"{epic}-one")
        told: list[pb.Event] = []
        async for answer in client.watch_run(run):
            told += answer.events
            if any(event.HasField("environment_fault") for event in told):
                break
        assert (await client.list_tasks(f"{run}/epics/{epic}"))[0].state == pb.TASK_STATE_RUNNING
        await home.start("worktree_svc")
        fleet.let_go()
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert written(project) == {"a-one.txt", "a-two.txt", "b-one.txt", "b-two.txt"}
        assert fleet.at_work()[f"{epic}-two-1"] == "w1"
        moved = [event.epic_moved.reason for event in told if event.HasField("epic_moved")]
        assert moved == ["w2 was drained"]
        await eventually(lambda: not list(fleet.workers["w2"].home.glob(f"worktrees/*/{epic}")))
