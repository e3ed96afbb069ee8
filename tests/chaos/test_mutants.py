"""Planted defects in the real services are found, and nothing is found without them."""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.chaos import evidence, mutants
from tests.chaos.plans import task_defaults
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.postgres import Postgres, running_postgres
from tests.support.proxy import Proxy
from tests.support.replicas import WITNESS, Replicas, running_replicas
from tests.support.repositories import make_repository
from tests.support.scheduler import eventually
from tests.unit.repo.files import ROOT


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def plant(fleet: Fleet, service: str, defects: str) -> None:
    """Makes a fleet start `service` with `defects`."""
    fleet._extra |= {"PYTHONPATH": str(ROOT)}
    if defects:
        fleet.commands[service] = [sys.executable, "-m", "tests.chaos.mutants", defects, service]


def plan_of(agent: str, *epics: str) -> pb.Plan:
    plan = pb.Plan(name="Mutants", defaults=task_defaults(agent))
    for key in epics:
        plan.epics.add(key=key).tasks.add(key="t", prompt="Go")
    return plan


async def begun(client: HeddleClient, run: str) -> None:
    """Returns once a session of the run has started."""
    async for answer in client.watch_run(run):
        if any(event.HasField("session_started") for event in answer.events):
            return


@pytest.mark.timeout(180)
@pytest.mark.parametrize("defect", ["", "no_epoch_check"])
async def test_writes_without_a_look_at_the_epoch_are_found(
    own_postgres: Postgres, tmp_path: Path, defect: str
) -> None:
    """If a frozen leader resumes and writes in the next leader's term, the violation is found."""
    repository = make_repository(tmp_path / "repository")
    replicas = Replicas(tmp_path, own_postgres.new_database("mutants"))
    worker = replicas.fleets["one"]
    async with AsyncExitStack() as stack:
        ways: dict[str, list[Proxy]] = {}
        for name, fleet in replicas.fleets.items():
            plant(fleet, "scheduler_svc", defect)
            ends = (worker.worktree, worker.agent)
            ways[name] = [await stack.enter_async_context(Proxy.to(end)) for end in ends]
            fleet._extra["HEDDLE_WORKERS"] = "local={}+{}".format(*(way.address for way in ways[name]))
        await stack.enter_async_context(running_replicas(replicas))
        replicas.query(WITNESS)
        leader = await replicas.leader()
        other = next(name for name in replicas.fleets if name != leader)
        client = await stack.enter_async_context(replicas.fleets[other].client(patience=60))
        chatty = "command:for i in $(seq 3000); do echo $i; sleep 0.1; done"
        request = pb.CreateRunRequest(plan=plan_of(chatty, "a"), project=str(repository))
        run = (await client.create_run(request)).name
        await begun(client, run)
        # The next leader cannot reach the session, so that the frozen one has new events to write.
        for way in (way for name in replicas.fleets if name != leader for way in ways[name]):
            way.cut()
        await replicas.fails_over(replicas.freeze)
        replicas.thaw(leader)
        if defect:
            await eventually(lambda: replicas.has_written_late(leader))
            (replicas.fleets[leader].home / mutants.NOTICED).touch()
        await eventually(lambda: "deposed" in replicas.fleets[leader].log("scheduler_svc"))
        for way in (way for each in ways.values() for way in each):
            way.restore()
        await client.cancel_run(run)
        # The next leader writes too before the run has ended.
        async for _ in client.watch_run(run):
            pass
        most = max(replicas.writers().values())
    assert most == (2 if defect else 1)


@pytest.mark.parametrize("defect", ["", "no_spool_sync"])
async def test_events_that_were_told_before_they_were_safe_are_found(tmp_path: Path, defect: str) -> None:
    """After a power failure of the worker, received events are in the spool, or missing ones are reported."""
    repository = make_repository(tmp_path / "repository")
    fleet = Fleet(tmp_path / "home")
    plant(fleet, "agent_svc", f"power_seam,{defect}" if defect else "power_seam")
    try:
        await fleet.start(*GRPC_SERVICES)
        async with fleet.client() as client:
            agent = "command:for i in $(seq 3000); do echo $i; sleep 0.1; done"
            request = pb.CreateRunRequest(plan=plan_of(agent, "a"), project=str(repository))
            run = (await client.create_run(request)).name
            await begun(client, run)
            heard = 0
            async for answer in client.watch_session(f"{run}/epics/a/tasks/t/attempts/1"):
                heard += len(answer.events)
                if heard > 5:
                    break
            fleet.kill("scheduler_svc")
            fleet.kill("agent_svc")
            mutants.lose_power(fleet.home)
    finally:
        fleet.stop()
    records = evidence.Records(f"sqlite:///{fleet.home / 'heddle.db'}")
    assert bool(list(records.not_in_spool(fleet.home / "spool"))) == bool(defect)


@pytest.mark.parametrize("defect", ["", "kill_only_the_agent"])
async def test_descendants_that_outlive_their_agent_are_found(tmp_path: Path, defect: str) -> None:
    """A child process in a separate session ends with its agent, or is reported."""
    repository = make_repository(tmp_path / "repository")
    (journal := tmp_path / "journal").mkdir()
    # In a sandbox all processes end with it, whatever their supervisor does.
    fleet = Fleet(tmp_path / "home", {"HEDDLE_SANDBOX": "off"})
    plant(fleet, "agent_svc", defect)
    agent = f"command:touch made; (cd {journal} && setsid sleep 900 >/dev/null 2>&1 &)"
    try:
        await fleet.start(*GRPC_SERVICES)
        async with fleet.client() as client:
            plan = plan_of(agent, "a", "b")
            request = pb.CreateRunRequest(plan=plan, project=str(repository))
            run = (await client.create_run(request)).name
            async for _ in client.watch_run(run):
                pass
            left = evidence.processes_below(journal)
    finally:
        fleet.stop()
        for line in evidence.processes_below(journal):
            psutil.Process(int(line.split()[1])).kill()
    assert bool(left) == bool(defect)
