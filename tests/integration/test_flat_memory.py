"""Services that run for months keep nothing of runs that have ended."""

import asyncio
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.object_counts import count_in, counts
from tests.support.repositories import make_repository

RUNS: Final = 6
SERVICES: Final = (*GRPC_SERVICES, "ui_svc")

# Seconds for the work that services do after a run has ended.
DEADLINE: Final = 90


async def test_no_service_keeps_objects_of_ended_runs(tmp_path: Path) -> None:
    """After as many runs again, no service has one more object of any class for each run."""
    project = make_repository(tmp_path / "project")
    fleet = Fleet(tmp_path / "home")
    for service in SERVICES:
        count_in(fleet, service)
    try:
        await fleet.start(*GRPC_SERVICES)
        await fleet.start_web_app()
        async with fleet.client() as client:
            await _runs(client, project)
            before = {service: await counts(fleet, service) for service in SERVICES}
            await _runs(client, project)
            async with asyncio.timeout(DEADLINE):
                while grown := await _grown(fleet, before):
                    print(grown)  # shown if the time is up
                    await asyncio.sleep(
                        1
                    )  # services clean up in the background, so there is no event to wait for
    finally:
        fleet.stop()


async def _grown(fleet: Fleet, before: dict[str, dict[str, int]]) -> dict[str, int]:
    return {
        f"{service}: {kind}": count - before[service].get(kind, 0)
        for service in SERVICES
        for kind, count in (await counts(fleet, service)).items()
        if count - before[service].get(kind, 0) >= RUNS
    }


async def _runs(client: HeddleClient, project: Path) -> None:
    for _ in range(RUNS):
        epics = [pb.PlanEpic(key=key, tasks=[pb.PlanTask(key="task", prompt="Work.")]) for key in "ab"]
        defaults = pb.TaskDefaults(agent="command:date +%N > $HEDDLE_EPIC$$")
        plan = pb.Plan(name="tiny", defaults=defaults, epics=epics)
        made = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
        events = [event async for answer in client.watch_run(made.name) for event in answer.events]
        assert sum(event.HasField("task_accepted") for event in events) == len(epics)
