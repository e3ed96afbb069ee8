"""Database calls of the RPCs: queries, commands that take effect once, and requests to the leader."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from heddle.identity.principals import current_call
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP, Doorbell
from scheduler_svc.store.db.writer import Work
from scheduler_svc.store.rows.callers import audit, leader_requests, requests

T = TypeVar("T")
P = ParamSpec("P")
Name = TypeVar("Name", RunName, EpicName, TaskName, AttemptName)

# Seconds between reads of a value that a call waits for, if the doorbell does not ring.
_LOOK: Final = 5.0

# Seconds that a call waits for something that an unreachable worker holds up: it may only be restarting.
PATIENCE: Final = 10.0


class StoreCalls:
    """The database calls of one replica. `now` returns the time in microseconds."""

    def __init__(self, database: Database, doorbell: Doorbell, now: Callable[[], int]) -> None:
        self._database = database
        self._doorbell = doorbell
        self._now = now

    async def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns the result of a query."""
        return await self._database.read(lambda connection: query(connection, *args, **kwargs))

    async def change(
        self,
        request: Any,
        name: Name,
        read: Callable[[Connection, Name], T],
        command: Callable[Concatenate[Connection, Name, P], object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Runs a command on resource `name`, once per request_id; returns the resource."""
        return await self.once(
            request,
            name,
            lambda connection: command(connection, name, *args, **kwargs),
            lambda connection: read(connection, name),
        )

    async def once(self, request: Any, name: object, work: Work[Any], read: Work[T]) -> T:
        """Runs a mutation, unless a request with its request_id already did; returns the result of `read`."""

        def named(connection: Connection) -> object:
            work(connection)
            return name

        write = partial(requests.once, request=request, work=named, call=current_call(), now=self._now())
        await self._database.submit(write, LOOP, _run_of(name))
        return await self._database.read(read)

    async def ask_leader(self, request: Any) -> bytes:
        """Sends a request to the leader and waits for it; returns the serialized response message."""
        request_id = leader_requests.new_id(request)
        enter = partial(
            leader_requests.enter,
            request_id=request_id,
            request=request,
            call=current_call(),
            now=self._now(),
        )
        read = partial(leader_requests.read_answer, request_id=request_id)
        with self._doorbell.listen(leader_requests.topic(request_id)) as bell:
            await self._database.submit(enter, LOOP)
            while (answer := await self._database.read(read)) is None:
                await bell.wait(_LOOK)
        return answer

    async def record(self, resource: str, request_id: str) -> None:
        """Adds the current call, which a worker has carried out, to the audit log."""
        call, now = current_call(), self._now()
        await self._database.submit(
            partial(audit.record, call=call, resource=resource, request_id=request_id, now=now)
        )

    async def wait(
        self, name: object, read: Work[T], done: Callable[[T], bool], *, stuck: Callable[[T], bool]
    ) -> T:
        """Waits until the resource is `done`, or `stuck` although PATIENCE has passed; returns it."""
        patience = time.monotonic() + PATIENCE
        with self._doorbell.listen(_run_of(name)) as bell:
            while not done(resource := await self._database.read(read)):
                if time.monotonic() >= patience and stuck(resource):
                    break
                await bell.wait(_LOOK)
        return resource


def _run_of(name: object) -> str:
    """Returns the topic of a resource: the name of its run."""
    return "/".join(str(name).split("/")[:2])
