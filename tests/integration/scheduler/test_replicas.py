"""Three scheduler processes on one PostgreSQL, and the failures of their leader."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.postgres import Postgres, running_postgres
from tests.support.replicas import REPLICAS, WITNESS, Replicas, running_replicas
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

TASKS = [f"t{number}" for number in range(12)]


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may crash."""
    with running_postgres() as server:
        yield server


def plan_of(agent: str, *tasks: str) -> pb.Plan:
    plan = pb.Plan(name="Replicas", defaults=pb.TaskDefaults(agent=agent))
    plan.epics.add(key="a", tasks=[pb.PlanTask(key=task, prompt="Go") for task in tasks])
    return plan


async def follow(client: HeddleClient, run: str) -> list[pb.Event]:
    return [event async for answer in client.watch_run(run) for event in answer.events]


@pytest.mark.timeout(300)
async def test_whatever_befalls_the_leader_another_one_leads(own_postgres: Postgres, tmp_path: Path) -> None:
    """If the leader is killed, frozen or cut off, another leads; only one writes; events stay complete."""
    repository = make_repository(tmp_path / "repository")
    (played := tmp_path / "played").mkdir()
    agent = f'command:echo run >> "{played}/$HEDDLE_TASK"; echo x > $HEDDLE_TASK.txt; sleep 1'
    async with running_replicas(Replicas(tmp_path, own_postgres.new_database("replicas"))) as replicas:
        replicas.query(WITNESS)
        # Connected to a replica that is not killed first, so that the watch can also reconnect.
        followers = [name for name in REPLICAS if name != await replicas.leader()]
        async with replicas.fleets[followers[0]].client(patience=120) as client:
            request = pb.CreateRunRequest(plan=plan_of(agent, *TASKS), project=str(repository))
            run = (await client.create_run(request)).name
            following = asyncio.create_task(follow(client, run))

            killed = await replicas.fails_over(replicas.kill)
            await replicas.fleets[killed].start("scheduler_svc")
            frozen = await replicas.fails_over(replicas.freeze)
            replicas.thaw(frozen)
            await eventually(lambda: "deposed" in replicas.fleets[frozen].log("scheduler_svc"))
            await replicas.fails_over(replicas.cut)

            async with asyncio.timeout(180):
                events = await following
            ended = await client.get_run(run)
        writers = replicas.writers()

    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert {path.name: path.read_text() for path in played.iterdir()} == dict.fromkeys(TASKS, "run\n")
    branch = f"heddle/{run.removeprefix('runs/')}/epics/a"
    log = git(repository, "log", "--first-parent", "--reverse", "--format=%s", f"main..{branch}")
    assert log.split("\n") == TASKS
    assert len(writers) >= 3
    assert set(writers.values()) == {1}


@pytest.mark.timeout(180)
async def test_agents_go_on_while_the_database_is_away(own_postgres: Postgres, tmp_path: Path) -> None:
    """While the database is away, sessions end into the spool and none start; later all events are stored."""
    repository = make_repository(tmp_path / "repository")
    (played := tmp_path / "played").mkdir()
    go = tmp_path / "go"
    agent = (
        f'command:echo begun >> "{played}/$HEDDLE_TASK"; while ! test -e {go}; do sleep 0.1; done;'
        f' echo while away; echo x > $HEDDLE_TASK.txt; echo ended >> "{played}/$HEDDLE_TASK"'
    )
    async with running_replicas(Replicas(tmp_path, own_postgres.new_database("replicas"))) as replicas:
        leader = replicas.fleets[await replicas.leader()]
        async with leader.client(patience=120) as client:
            request = pb.CreateRunRequest(plan=plan_of(agent, "t0", "t1"), project=str(repository))
            run = (await client.create_run(request)).name
            await eventually((played / "t0").exists)
            own_postgres.crash()
            go.touch()
            await eventually(lambda: "session_finished" in replicas.fleets["one"].log("agent_svc"))
            await eventually(lambda: "cannot_lead_yet" in leader.log("scheduler_svc"))
            assert not (played / "t1").exists()
            own_postgres.restart()
            async with asyncio.timeout(120):
                events = await follow(client, run)
            said = [
                event
                async for answer in client.watch_session(f"{run}/epics/a/tasks/t0/attempts/1")
                for event in answer.events
            ]
            ended = await client.get_run(run)
            reasons = [task.reason for task in await client.list_tasks(f"{run}/epics/-")]

    assert ended.state == pb.RUN_STATE_SUCCEEDED, reasons
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.sequence for event in said] == list(range(1, len(said) + 1))
    assert any("while away" in event.output.text for event in said)
    assert {path.name: path.read_text() for path in played.iterdir()} == dict.fromkeys(
        ("t0", "t1"), "begun\nended\n"
    )
