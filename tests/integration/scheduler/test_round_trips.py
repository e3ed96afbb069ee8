"""How often the scheduler waits for PostgreSQL. These are numbers of round trips, not times."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.decisions.apply_action import act_on
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.leader.loop import _observe
from scheduler_svc.policy.actions import Action, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.leadership import check_epoch
from scheduler_svc.store.db.writer import Grouped
from scheduler_svc.store.outcomes.attempt_outcomes import Acceptance, accept_all
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from tests.support.postgres import Postgres
from tests.support.round_trips import RoundTrips, counting
from tests.support.scheduler import make_plan

EPICS = 8
TASKS = 3

_numbers = count(1)


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[tuple[Database, RoundTrips]]:
    """A database on PostgreSQL, without other replicas that need rings."""
    opened = Database(postgres.new_database(f"round_trips_{next(_numbers)}"), Doorbell())
    with counting(opened.engine) as trips:
        await opened.open()
        yield opened, trips
        await opened.close()


async def as_one_group(database: Database, *works: Any) -> None:
    """Submits work while the writer is busy, so that one transaction writes all of it."""
    guard = partial(check_epoch, epoch=0)
    began, submitted = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        began.set()
        assert submitted.wait(60)

    held = asyncio.ensure_future(database.submit(hold))
    assert await asyncio.to_thread(began.wait, 60)
    waiting = [asyncio.ensure_future(database.submit(work, guard=guard)) for work in works]
    # Each is submitted when its task runs for the first time.
    await asyncio.sleep(0)
    submitted.set()
    await asyncio.gather(held, *waiting)


async def tick(database: Database, now: int) -> list[Action]:
    observe = partial(
        _observe, workers=(WorkerView("local", EPICS),), now=now, project_budget=None, park_after=0
    )
    return decide((await database.read(observe))[2])


async def do_tasks(database: Database, now: int) -> int:
    """Does every task that can start now, from the decision to its acceptance; returns their number."""
    actions = await tick(database, now)
    attempts: list[AttemptName] = [each.attempt for each in actions if isinstance(each, StartTask)]
    await database.submit(partial(act_on, actions=actions, now=now), guard=partial(check_epoch, epoch=0))

    def said() -> list[pb.Event]:
        result = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
        started = pb.SessionStarted(agent="scripted", process_id=1)
        return [pb.Event(sequence=1, session_started=started), pb.Event(sequence=2, session_finished=result)]

    await as_one_group(
        database, *(Grouped(ingest, Batch(name, said(), now, "scripted")) for name in attempts)
    )
    committed = pb.CommitTaskResponse(commit="c0ffee")
    await as_one_group(
        database, *(Grouped(accept_all, Acceptance(name, committed, now)) for name in attempts)
    )
    return len(attempts)


@pytest.mark.parametrize("parallel", [1, EPICS])
async def test_a_task_takes_few_round_trips(database: tuple[Database, RoundTrips], parallel: int) -> None:
    """A trivial task takes six round trips from its decision to its acceptance; parallel tasks share them."""
    opened, trips = database
    plan = make_plan(
        {f"e{number}": [f"t{task}" for task in range(TASKS)] for number in range(parallel)}, agent="scripted"
    )
    base = _Base("local", "/repository", "c0ffee", "main", parallel)
    request = pb.CreateRunRequest(plan=plan)
    await opened.submit(
        partial(_write, name=RunName("r"), request=request, base=base, actor="user:ada", now=1)
    )
    await do_tasks(opened, 2)
    trips.taken()

    assert await do_tasks(opened, 3) == parallel
    assert trips.taken() == 6
