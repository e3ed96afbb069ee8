"""The composition root: builds the scheduler from parts that tests can replace."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import grpc
import structlog

from heddle import pb
from heddle.config import ConfigError, Settings
from heddle.errors import HeddleError
from heddle.identity.guard import Guard
from heddle.identity.principals import Call
from heddle.rpc.serving import Service
from heddle.timing.backoff import Backoff
from heddle.timing.clock import Clock, utc_now
from heddle.v1 import identity_service_pb2, scheduler_service_pb2
from heddle.v1.identity_service_pb2_grpc import add_IdentityServiceServicer_to_server
from heddle.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from scheduler_svc.api.identity_servicer import IdentityServicer
from scheduler_svc.api.servicer import SchedulerServicer
from scheduler_svc.api.sign_in import sign_in
from scheduler_svc.commands.runs.create_run import create_run
from scheduler_svc.commands.workers.fleet import Fleet
from scheduler_svc.leader.loop import Decide, Loop
from scheduler_svc.model.run_ids import random_suffix
from scheduler_svc.policy import decision
from scheduler_svc.pools.pool_follower import MakingPool, PoolFollower
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import LOOP, Doorbell
from scheduler_svc.store.db.times import micros
from scheduler_svc.store.outcomes.attempt_outcomes import ShouldRetry
from scheduler_svc.store.rows.retention.run_retention import Retention

log: structlog.stdlib.BoundLogger = structlog.get_logger()

NAME: Final = scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"].full_name
IDENTITY: Final = identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"].full_name


@dataclass
class App:
    """A scheduler. Its database and workers are public so that tests can inspect them."""

    database: Database
    workers: Workers
    _doorbell: Doorbell
    _loop: Loop
    _servicer: SchedulerServicer
    _identity: IdentityServicer
    _guard: Guard
    _fleet: Fleet
    _pool: PoolFollower | None
    _leading: "asyncio.Task[None] | None" = field(default=None)
    _following: "asyncio.Task[None] | None" = field(default=None)

    def service(self) -> Service:
        """Returns the service for `heddle.rpc.serving`."""
        return Service(
            names=[NAME, IDENTITY],
            register=self._register,
            guard=self._guard,
            start=self.start,
            drain=self.drain,
        )

    def _register(self, server: grpc.aio.Server) -> None:
        add_SchedulerServiceServicer_to_server(self._servicer, server)
        add_IdentityServiceServicer_to_server(self._identity, server)

    async def start(self) -> None:
        """Waits for the database, connects to the workers, and leads if no other replica does."""
        backoff = Backoff()
        while True:
            try:
                await self.database.open()
                break
            except HeddleError as error:
                log.warning("database_not_ready", error=error.message)
            await backoff.wait()
        await self.workers.start()
        if self._pool:
            await self._pool.start()
        self._following = asyncio.create_task(self._fleet.run())
        self._leading = asyncio.create_task(self._loop.run())

    async def drain(self) -> None:
        """Ends watches and the loop; sessions continue on their workers. Idempotent."""
        self._doorbell.close()
        tasks = [task for task in (self._leading, self._following) if task]
        # Both at once, before either notices that the doorbell is closed: a term ends in order only once.
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._following = self._leading = None
        if self._pool:
            await self._pool.close()
        await self.workers.close()
        await self.database.close()


def build(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    new_suffix: Callable[[], str] = random_suffix,
    decide: Decide = decision.decide,
    should_retry: ShouldRetry = decision.should_retry,
    guard: Guard | None = None,
) -> App:
    """Creates the scheduler, which opens nothing before `start`. `guard` is absent outside of tests."""

    def now() -> int:
        return micros(clock())

    doorbell = Doorbell()
    database = Database(settings.database_url, doorbell)
    pool = _pool(settings)
    workers = Workers(settings.workers, settings.tls, settings.longest_lease, pool)
    # Micros; None: no limit.
    project_budget = round(settings.project_budget_usd * 1_000_000) or None
    retention = Retention.of(settings)

    async def start_run(request: pb.CreateRunRequest, call: Call, now: int) -> pb.Run:
        suffix = new_suffix()
        return await create_run(
            database, workers, request, suffix, call=call, now=now, project_budget=project_budget
        )

    loop = Loop(
        database,
        doorbell,
        workers,
        decide=decide,
        should_retry=should_retry,
        clock=clock,
        project_budget=project_budget,
        park_after=round(settings.park_after * 1_000_000),
        base_look_every=settings.base_look_every,
        retention=retention,
        start_run=start_run,
        keep_places=settings.pod_keep,
    )
    fleet = Fleet(database, doorbell, workers, now, tls=settings.tls is not None)
    servicer = SchedulerServicer(
        database,
        doorbell,
        workers,
        clock,
        new_suffix,
        fleet=fleet,
        start_run=start_run,
        project_budget=project_budget,
        retention=retention,
    )

    follower = PoolFollower(pool, workers, lambda: doorbell.ring([LOOP])) if pool else None
    signing_in = sign_in(settings, database, now)
    identity = IdentityServicer(database, now, signing_in.forget)
    return App(database, workers, doorbell, loop, servicer, identity, guard or signing_in, fleet, follower)


def _pool(settings: Settings) -> MakingPool | None:
    """Returns the pool that makes places for epics; None if they run on workers that exist. Raises ConfigError."""
    if settings.pod_template is None:
        return None
    try:
        # An extra, needed here only.
        from scheduler_svc.pools.kubernetes.engine import KubernetesPool  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"HEDDLE_POD_TEMPLATE is {str(settings.pod_template)!r}, which needs the package {error.name}: install"
            " heddle[kubernetes]"
        ) from error
    return KubernetesPool(settings.pod_template)
