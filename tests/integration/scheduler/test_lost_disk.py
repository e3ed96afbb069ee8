"""A worker that comes back without its disk: what was accepted is at the project's remote."""

import shutil
from pathlib import Path

from heddle import pb
from tests.support.fleet import Fleet
from tests.support.repositories import fast_import, git
from tests.support.scheduler import eventually

# The first attempt of the second task works until its worker is gone.
AGENT = """command:case $HEDDLE_TASK$HEDDLE_ATTEMPT in two1) touch "$PLACE/working"; until [ -e "$PLACE/gone" ]; do sleep 0.1; done;; esac; echo x > $HEDDLE_TASK.txt"""


async def test_a_run_continues_from_the_remote_after_its_worker_lost_its_disk(tmp_path: Path) -> None:
    """The clone is made again, accepted work comes from the remote, and the lost attempt uses up no retry."""
    remote = tmp_path / "app.git"
    remote.mkdir()
    git(remote, "init", "--quiet", "--bare", "--initial-branch=trunk")
    fast_import(remote, "trunk", {"README.md": "# Sample\n"})
    (place := tmp_path / "place").mkdir()
    worker = Fleet(
        tmp_path / "worker",
        {"HEDDLE_AGENT_ENV": "PLACE", "PLACE": str(place), "HEDDLE_SANDBOX_WRITABLE": str(place)},
    )
    scheduler = Fleet(tmp_path / "scheduler", {"HEDDLE_WORKERS": f"local={worker.worktree}+{worker.agent}"})
    plan = pb.Plan(name="Lost", merge_into="trunk", defaults=pb.TaskDefaults(agent=AGENT, retries=0))
    plan.epics.add(key="first").tasks.add(key="zero", prompt="Go")
    plan.epics.add(key="second", depends_on=["first"]).tasks.extend(
        [pb.PlanTask(key="one", prompt="Go"), pb.PlanTask(key="two", prompt="Go")]
    )
    plan.epics.add(key="third", depends_on=["second"]).tasks.add(key="three", prompt="Go")
    try:
        await worker.start("worktree_svc", "agent_svc")
        await scheduler.start("scheduler_svc")
        async with scheduler.client(patience=60) as client:
            run = (await client.create_run(pb.CreateRunRequest(plan=plan, project=f"file://{remote}"))).name
            await eventually((place / "working").exists)
            worker.kill("agent_svc")
            worker.kill("worktree_svc")
            (place / "gone").touch()
            shutil.rmtree(worker.home)
            worker.home.mkdir()
            await worker.start("worktree_svc", "agent_svc")
            async for _ in client.watch_run(run):
                pass
            ended = await client.get_run(run)
            assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
            first, second = await client.list_attempts(f"{run}/epics/second/tasks/two")
            assert [first.state, second.state] == [pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_ACCEPTED]
            assert len(await client.list_attempts(f"{run}/epics/-/tasks/-")) == 5
        names = git(remote, "ls-tree", "--name-only", "trunk").split()
        assert names == ["README.md", "one.txt", "three.txt", "two.txt", "zero.txt"]
    finally:
        scheduler.stop()
        worker.stop()
