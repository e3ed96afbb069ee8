"""Epics stay current with the branch that their run started from, with real git."""

import asyncio
from pathlib import Path

from heddle import pb
from heddle.client import HeddleClient
from tests.integration.test_conflict import finished
from tests.support.fleet import Fleet, running_fleet
from tests.support.repositories import fast_import, git, make_repository

# Paints, once someone else has committed to main. The second task keeps both colors where the branch conflicts.
PAINTER = r"""
case $HEDDLE_TASK in
  one) until git show main:theirs.txt; do sleep 0.1; done; echo mine > app.conf; echo mine > mine.txt ;;
  two) sed -i '/^[<=>]\{7\}/d' app.conf; echo two > two.txt ;;
esac
"""


def a_plan(on_conflict: "pb.OnConflict.ValueType" = pb.ON_CONFLICT_WAIT) -> pb.Plan:
    """Returns a plan whose second task passes only on top of the new commit."""
    agent = f"command:{PAINTER.strip()}"
    checks = [pb.Check(name="current", run="test -e theirs.txt")]
    tasks = [
        pb.PlanTask(key="one", prompt="Paint"),
        pb.PlanTask(key="two", prompt="Paint more", checks=checks),
    ]
    return pb.Plan(
        name="Paint",
        merge_into="main",
        sync=pb.SYNC_POLICY_BETWEEN_TASKS,
        defaults=pb.TaskDefaults(agent=agent, on_conflict=on_conflict),
        epics=[pb.PlanEpic(key="a", tasks=tasks)],
    )


async def started(client: HeddleClient, plan: pb.Plan, repository: Path) -> pb.Run:
    """Creates a run; returns it once its first session has started."""
    run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
    async for answer in client.watch_run(run.name):
        if any(event.HasField("session_started") for event in answer.events):
            break
    return run


def checked_out_elsewhere(repository: Path) -> Path:
    """Frees main, so that runs can move it."""
    git(repository, "switch", "--quiet", "--detach")
    return repository


async def test_a_conflict_with_the_branch_is_resolved_by_the_next_agent(tmp_path: Path) -> None:
    """The checks run on the result, the epic's diff has only its own work, and main gets both."""
    repository = checked_out_elsewhere(make_repository(tmp_path / "repository", {"app.conf": "grey\n"}))
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await started(client, a_plan(pb.ON_CONFLICT_AGENT), repository)
        fast_import(repository, "main", {"app.conf": "theirs\n", "theirs.txt": "theirs\n"}, "main")
        tip = git(repository, "rev-parse", "main")
        events = await finished(client, run.name)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        (taken,) = (each.sync_finished for each in events if each.HasField("sync_finished"))
        assert taken == pb.SyncFinished(branch="main", commit=tip, commit_count=1, conflicts=True)
        (epic,) = await client.list_epics(run.name)
        assert git(repository, "show", "-s", "--format=%P", epic.head_commit).split()[1] == tip
        assert epic.sync == pb.EpicSync(branch="main", commit=tip)
        diff = (await client.get_diff(epic.name)).text
        assert all(name in diff for name in ("app.conf", "mine.txt", "two.txt"))
        assert "theirs.txt" not in diff
        assert set(git(repository, "show", "main:app.conf").splitlines()) == {"mine", "theirs"}
        assert git(repository, "show", "main:theirs.txt") == "theirs"


async def test_a_sync_survives_the_death_of_its_scheduler(tmp_path: Path) -> None:
    """Whether or not the merge was recorded, the next scheduler continues with it, and says so once."""
    repository = checked_out_elsewhere(make_repository(tmp_path / "repository", {"app.conf": "grey\n"}))
    fleet = Fleet(tmp_path / "home")
    try:
        await fleet.start("worktree_svc", "agent_svc")
        # The second task's worktree, which has the merge.
        dying = fleet.spawn("scheduler_svc", {"HEDDLE_FAILPOINT": "record_worktree.before_commit:2"})
        await fleet._serving("scheduler_svc")
        async with fleet.client(patience=60) as client:
            run = await started(client, a_plan(), repository)
            fast_import(repository, "main", {"theirs.txt": "theirs\n"}, "main")
            await asyncio.to_thread(dying.wait)
            await fleet.start("scheduler_svc")
            events = await finished(client, run.name)
            ended = await client.get_run(run.name)
            (epic,) = await client.list_epics(run.name)
    finally:
        fleet.stop()
    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [each.sync_finished.commit_count for each in events if each.HasField("sync_finished")] == [1]
    subjects = git(repository, "log", "--first-parent", "--format=%s", epic.head_commit).splitlines()
    assert [each.partition(" at ")[0] for each in subjects[:3]] == ["two", "Take in main", "one"]
