"""Keeps the workers of a replica those of the database: workers register, leave and are drained."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog

from heddle import labels as rules
from heddle import pb
from heddle.config import is_address
from heddle.errors import HeddleError, invalid_field, not_found
from heddle.identity.principals import Call
from heddle.names import KEY
from heddle.urls import is_local
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.policy.snapshot import Member
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP, Doorbell
from scheduler_svc.store.rows import workers as rows
from scheduler_svc.store.rows.callers import audit, requests

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds after which a worker should register again.
RENEW_AFTER: Final = 15

# Microseconds after which a registration that was not renewed is gone.
_FORGOTTEN: Final = 24 * 3600 * 1_000_000

# Seconds between two reads of the fleet if the doorbell does not ring.
_LOOK: Final = 3.0

_TOPIC: Final = "workers"


class Fleet:
    """The fleet of one replica. `now` returns the time in microseconds."""

    def __init__(
        self, database: Database, doorbell: Doorbell, workers: Workers, now: Callable[[], int], *, tls: bool
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._workers = workers
        self._now = now
        self._tls = tls
        # One update at a time.
        self._updating = asyncio.Lock()

    async def run(self) -> None:
        """Follows the database until cancelled, or until the scheduler shuts down."""
        with self._doorbell.listen(_TOPIC) as bell:
            while True:
                try:
                    await self.update()
                    await bell.wait(_LOOK)
                except HeddleError as error:
                    if error.reason == pb.ERROR_REASON_DRAINING:
                        return
                    log.warning("fleet_not_read", error=error.message)
                    await asyncio.sleep(_LOOK)

    async def update(self) -> None:
        """Applies the fleet of the database to this replica's workers."""
        async with self._updating:
            members = partial(rows.members, after=self._now() - _FORGOTTEN)
            await self._workers.update(await self._database.read(members))

    async def register(self, request: pb.RegisterWorkerRequest, call: Call) -> pb.RegisterWorkerResponse:
        """Registers the calling worker; raises the errors of the RPC."""
        name = worker_name(request.name)
        if call.principal.name != f"worker/{name}":
            raise HeddleError(
                pb.ERROR_REASON_PERMISSION_DENIED,
                f"{call.principal.name} may only register itself, and not {request.name}",
            )
        if self._workers.is_configured(name):
            raise wrong_state(
                request.name, "CONFIGURED", "remove it from HEDDLE_WORKERS, or choose another name"
            )
        if not request.leaving:
            self._check(request)
        now = self._now()

        def work(connection: Connection) -> bool:
            if request.leaving:
                changed = rows.leave(connection, name)
            else:
                member = Member(name, request.worktree_address, request.agent_address, request.labels)
                changed = rows.register(connection, member, now)
            if changed:
                audit.record(connection, call, request.name, "", now)
            return changed

        if await self._database.submit(work, _TOPIC):
            await self.update()
        answer = pb.RegisterWorkerResponse()
        answer.renew_after.FromSeconds(RENEW_AFTER)
        return answer

    async def drain(
        self, request: pb.DrainWorkerRequest | pb.UndrainWorkerRequest, call: Call, *, draining: bool
    ) -> pb.Worker:
        """Drains a worker, or ends that; returns it. Raises NOT_FOUND."""
        name, now = worker_name(request.name), self._now()
        if name not in self._workers:
            raise not_found(request.name)

        def work(connection: Connection) -> str:
            rows.drain(connection, name, draining=draining, actor=call.principal.name, now=now)
            return request.name

        write = partial(requests.once, request=request, work=work, call=call, now=now)
        await self._database.submit(write, _TOPIC, LOOP)
        await self.update()
        return await self._workers.look(name)

    def _check(self, request: pb.RegisterWorkerRequest) -> None:
        for field in ("worktree_address", "agent_address"):
            address = getattr(request, field)
            if not is_address(address):
                raise invalid_field(field, f"takes host:port or unix:PATH, and {address!r} is neither")
            if not (self._tls or is_local(address)):
                raise invalid_field(
                    field,
                    f"{address} is on another machine, which needs TLS: set HEDDLE_TLS_CERT, _KEY and _CA",
                )
        _check_labels(request.labels)


def worker_name(resource: str) -> str:
    """Returns the name of a worker, given as workers/NAME; raises INVALID_FIELD."""
    kind, _, name = resource.partition("/")
    if kind != "workers" or not KEY.fullmatch(name):
        raise invalid_field(
            "name", f"takes workers/NAME of letters, digits, - and _, and {resource!r} is not"
        )
    return name


def _check_labels(labels: Mapping[str, str]) -> None:
    for problem in rules.problems(labels):
        raise invalid_field("labels", problem)
