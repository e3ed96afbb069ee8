"""The real services, and a scheduler that is killed again and again."""

import asyncio
import random
from pathlib import Path

from heddle import pb
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository
from tests.support.seed import SEED

KILLS = 4
TASKS = ("one", "two", "three", "four")


async def test_killed_scheduler_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL at random moments: every task is committed once and in order, and its agent ran once."""
    chance = random.Random(SEED)
    repository = make_repository(tmp_path / "repository")
    (played := tmp_path / "played").mkdir()
    writable = {"HEDDLE_SANDBOX_WRITABLE": str(played)}
    agent = f'command:echo run >> "{played}/$HEDDLE_EPIC-$HEDDLE_TASK"; echo x > $HEDDLE_TASK.txt; sleep 0.3'
    plan = pb.Plan(
        name="Killed",
        defaults=pb.TaskDefaults(agent=agent),
        epics=[
            pb.PlanEpic(key=key, tasks=[pb.PlanTask(key=f"{key}-{task}", prompt="Go") for task in TASKS])
            for key in ("a", "b")
        ],
    )

    async with running_fleet(tmp_path / "home", writable) as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        watched: list[pb.Event] = []

        async def watch() -> None:
            async for answer in client.watch_run(run.name):
                watched.extend(answer.events)

        watching = asyncio.create_task(watch())
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 0.8))  # a random moment
            fleet.kill("scheduler_svc")
            await fleet.start("scheduler_svc")
        async with asyncio.timeout(60):
            await watching
        ended = await client.get_run(run.name)

    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [event.sequence for event in watched] == list(range(1, len(watched) + 1))
    runs = {path.name: path.read_text().count("run") for path in played.iterdir()}
    assert len(runs) == 8
    assert set(runs.values()) == {1}, runs
    for key in ("a", "b"):
        branch = f"heddle/{run.name.removeprefix('runs/')}/epics/{key}"
        log = git(repository, "log", "--first-parent", "--reverse", "--format=%s", f"main..{branch}")
        assert log.split("\n") == [f"{key}-{task}" for task in TASKS]
