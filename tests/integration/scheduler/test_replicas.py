"""Two schedulers on one PostgreSQL, as processes, and the leader is killed."""

import asyncio
from pathlib import Path

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import Fleet, running_fleet
from tests.support.postgres import Postgres
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

TASKS = ("one", "two", "three", "four")


async def test_killed_leader_is_followed_by_the_other_replica(postgres: Postgres, tmp_path: Path) -> None:
    """SIGKILL of the leader in the middle of a run: the other replica leads, and no event is missed or doubled."""
    environment = {"HEDDLE_DATABASE_URL": postgres.new_database("replicas")}
    repository = make_repository(tmp_path / "repository")
    (played := tmp_path / "played").mkdir()
    agent = f'command:echo run >> "{played}/$HEDDLE_TASK"; echo x > $HEDDLE_TASK.txt; sleep 0.5'
    tasks = [pb.PlanTask(key=task, prompt="Go") for task in TASKS]
    plan = pb.Plan(
        name="Replicas",
        defaults=pb.TaskDefaults(agent=agent),
        epics=[pb.PlanEpic(key="a", tasks=tasks)],
    )

    async with running_fleet(tmp_path / "home", environment) as fleet:
        workers = {**environment, "HEDDLE_WORKERS": fleet.environment["HEDDLE_WORKERS"]}
        replica = Fleet(tmp_path / "replica", workers)
        try:
            await replica.start("scheduler_svc")
            async with HeddleClient(replica.scheduler) as client:
                run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
                events: list[pb.Event] = []
                async with asyncio.timeout(60):
                    async for answer in client.watch_run(run.name):
                        events.extend(answer.events)
                        if "scheduler_svc" in fleet._processes and _accepted(events):
                            assert "leading" in fleet.log("scheduler_svc")
                            assert "leading" not in replica.log("scheduler_svc")
                            fleet.kill("scheduler_svc")
                            # It tries every second.
                            await eventually(lambda: "leading" in replica.log("scheduler_svc"))
                ended = await client.get_run(run.name)
        finally:
            replica.stop()

    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert _accepted(events) == len(TASKS)
    assert {path.name: path.read_text() for path in played.iterdir()} == dict.fromkeys(TASKS, "run\n")
    branch = f"heddle/{run.name.removeprefix('runs/')}/epics/a"
    log = git(repository, "log", "--first-parent", "--reverse", "--format=%s", f"main..{branch}")
    assert log.split("\n") == list(TASKS)


def _accepted(events: list[pb.Event]) -> int:
    return sum(event.HasField("task_accepted") for event in events)
