"""The state of the workers in this replica, and calls to them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
import structlog

from heddle import errors, pb
from heddle.config import Tls, WorkerAddress
from heddle.errors import HeddleError
from heddle.failpoints import failpoint
from heddle.files import fencing
from heddle.names import EpicName
from heddle.rpc.channels import open_channel
from heddle.timing.backoff import Backoff
from heddle.urls import is_local
from heddle.v1.agent_service_pb2_grpc import AgentServiceStub
from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from scheduler_svc.model.home import Home
from scheduler_svc.policy.snapshot import Member, WorkerView
from scheduler_svc.pools.pool import Pool
from scheduler_svc.pools.worker import Worker, no_worker

if TYPE_CHECKING:
    # These two exist only in the stub files.
    pass

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

# Seconds for which a starting scheduler waits for workers that do not answer yet.
_MOMENT: Final = 1.0

# Seconds that a stop waits at most for an unreachable worker whose lease is not known or that has none.
UNKNOWN_LEASE: Final = 300.0

# Sessions that a run has at most at a time if a pool makes its workers and it sets no max_parallel.
POOL_SLOTS: Final = 200

# Timeout of a heartbeat in seconds.
_HEARTBEAT_TIMEOUT: Final = 5.0

_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


class Workers:
    """All workers of the fleet: the configured ones and those that registered. Calls `on_change` when a worker is lost, full, or available again."""

    def __init__(
        self,
        addresses: Iterable[WorkerAddress],
        tls: Tls | None = None,
        lease: float = 0,
        pool: Pool | None = None,
    ) -> None:
        """`lease` is what a worker that has not named its lease is assumed to have, in seconds; 0: unknown.

        `pool` makes workers for epics with a place. None: they run on workers that exist.
        """
        self.pool = pool
        # Workers that a pool had made and that are gone, with their disks.
        self._gone: set[str] = set()
        self._addresses = tuple(addresses)
        self._tls = tls
        self._assumed_lease = lease or UNKNOWN_LEASE
        # When this replica began to lead, or was created.
        self._led_since = time.monotonic()
        self._workers: dict[str, Worker] = {}
        # The epoch of this replica as leader; 0 while it does not lead.
        self._epoch = 0
        # The highest epoch that a worker named when it refused this replica's. 0: none.
        self._known = 0
        self.on_change: Callable[[pb.Worker], None] = lambda _: None

    async def start(self) -> None:
        """Connects; returns when each worker has answered, or after a moment: services that start together need one."""
        await asyncio.gather(*(self._join(address) for address in self._addresses))
        backoff = Backoff(longest=0.2)
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                while missing := [each for each in self._workers.values() if not each.state.connected]:
                    await backoff.wait()
                    await asyncio.gather(*(self._heartbeat(each) for each in missing))

    async def close(self) -> None:
        """Stops the heartbeats and disconnects. Idempotent."""
        await asyncio.gather(*(self._remove(worker) for worker in list(self._workers.values())))

    async def update(self, members: Iterable[Member]) -> None:
        """Adds the registered workers that are new, removes those that are gone, and applies who is drained.

        Returns when each new one has answered or failed its first heartbeat.
        """
        known = {member.name: member for member in members}
        for worker in list(self._workers.values()):
            member = known.get(worker.name)
            address = worker.registered
            if address and (
                member is None or (member.worktree, member.agent) != (address.worktree, address.agent)
            ):
                await self._remove(worker)
                log.info("worker_left", worker=worker.name)
        joining = [
            WorkerAddress(member.name, member.worktree, member.agent)
            for member in known.values()
            if member.agent and member.name not in self._workers
        ]
        await asyncio.gather(*(self._join(address, registered=True) for address in joining))
        for worker in self._workers.values():
            member = known.get(worker.name)
            worker.draining = member is not None and member.draining
            worker.drained = (member.drained_by, member.drained_at) if member else ("", 0)
            worker.labels = member.labels if member else {}
            worker.describe()

    async def follow_pool(self) -> None:
        """Adds the workers that the pool has made, and removes those that are gone with all that ran there."""
        assert self.pool  # noqa: S101 (called only with a pool)
        made = {address.name: (key, address) for key, address in self.pool.workers().items()}
        for worker in list(self._workers.values()):
            if worker.epic and worker.name not in made:
                await self._remove(worker)
                self.lose(worker.name)
                log.info("place_removed", worker=worker.name)
        joining = [
            self._join(address, epic=EpicName(key.run, key.epic))
            for name, (key, address) in made.items()
            if name not in self._workers
        ]
        await asyncio.gather(*joining)

    def lose(self, name: str) -> None:
        """Records that a worker of the pool is gone, so that no one waits for its lease."""
        self._gone.add(name)

    def is_made(self, name: str) -> bool:
        """Returns whether the pool has made the worker for one epic."""
        worker = self._workers.get(name)
        return worker is not None and worker.epic is not None

    def is_lost(self, name: str) -> bool:
        """Returns whether it is recorded that a worker of the pool is gone."""
        return name in self._gone

    def is_removed(self, name: str, epic: EpicName) -> bool:
        """Returns whether a worker that the pool made for an epic is gone, with the epic's worktree."""
        key = self.pool.key_of(name, epic.run, epic.epic) if self.pool else None
        return bool(self.pool and key and self.pool.is_gone(key))

    async def look(self, name: str) -> pb.Worker:
        """Asks a worker of the fleet for its state; returns it."""
        await self._heartbeat(self.get(name))
        return self.get(name).state

    def is_configured(self, name: str) -> bool:
        """Returns whether the worker is listed in HEDDLE_WORKERS."""
        return any(address.name == name for address in self._addresses)

    async def _join(
        self, address: WorkerAddress, *, registered: bool = False, epic: EpicName | None = None
    ) -> None:
        # The events of sessions stay in the worker's spool until the database takes them.
        agent = open_channel(address.agent, self._tls, ahead=False, tls_name=address.tls_name)
        worktree = open_channel(address.worktree, self._tls, tls_name=address.tls_name)
        worker = Worker(address.name, AgentServiceStub(agent), WorktreeServiceStub(worktree))
        worker.registered = address if registered else None
        worker.epic = epic
        worker.same_machine = is_local(address.agent)
        worker.channels = (agent, worktree)
        worker.describe()
        self._workers[address.name] = worker
        await self._heartbeat(worker)
        worker.poll = asyncio.create_task(self._poll(worker))

    async def _remove(self, worker: Worker) -> None:
        self._workers.pop(worker.name, None)
        if worker.poll:
            worker.poll.cancel()
            await asyncio.gather(worker.poll, return_exceptions=True)
        for channel in worker.channels:
            await channel.close()
        worker.hide()

    def lead(self, epoch: int) -> None:
        """Makes heartbeats renew the leases of the workers from now on; 0 stops that."""
        self._epoch = epoch
        self._led_since = time.monotonic()
        for worker in self._workers.values():
            worker.renewed = time.monotonic()

    def refused(self, error: HeddleError) -> bool:
        """Remembers the epoch with which a worker refused this leader; `error` is its STALE_EPOCH.

        Returns False, and remembers nothing, for an epoch that no leader can have set: a leader above it would be
        refused by every other worker.
        """
        epoch = int(error.metadata.get("epoch", "0"))
        if epoch > fencing.ceiling(time.time()):
            return False
        self._known = max(self._known, epoch)
        return True

    @property
    def highest_epoch(self) -> int:
        """The highest epoch that a worker is known to have seen; the next leader's must be higher. 0: unknown."""
        return self._known

    def get(self, name: str) -> Worker:
        """Returns the worker; raises NO_WORKER if it is not in the fleet."""
        worker = self._workers.get(name)
        if worker is None:
            raise no_worker(
                f"worker {name!r} is not in the fleet; start it so that it registers, or add it to HEDDLE_WORKERS"
            )
        return worker

    def slots(self, name: str) -> int:
        """Returns the slots of a worker; 0 if unknown."""
        worker = self._workers.get(name)
        return worker.state.slots if worker else 0

    def slots_for(self, home: Home) -> int:
        """Returns how many sessions a run can have: epics with a place use all workers."""
        if not home.placed:
            return self.slots(home.worker)
        if self.pool:
            return POOL_SLOTS
        return sum(
            worker.state.slots
            for worker in self._workers.values()
            if worker.state.connected and not worker.draining
        )

    def has_let_go(self, name: str) -> bool:
        """Returns whether a worker's lease expired while it was unreachable: none of its sessions is left.

        A worker that is not in the fleet has received nothing since this leader's term began. A worker without a
        lease keeps its sessions, but no one waits for it longer than UNKNOWN_LEASE: they are stopped when it is back.
        """
        if name in self._gone:
            return True
        worker = self._workers.get(name)
        if worker is None:
            return time.monotonic() - self._led_since > self._assumed_lease
        return worker.has_let_go(self._assumed_lease)

    def __contains__(self, name: str) -> bool:
        """Returns whether the worker is in the fleet."""
        return name in self._workers

    def is_connected(self, name: str) -> bool:
        """Returns whether the worker is in the fleet and answered its last heartbeat."""
        worker = self._workers.get(name)
        return worker is not None and worker.state.connected

    def connected(self, name: str) -> Worker:
        """Returns the worker; raises NO_WORKER if it is not in the fleet or its last heartbeat failed."""
        worker = self.get(name)
        if not worker.state.connected:
            raise no_worker(f"worker {name} is unreachable: {worker.state.reason}")
        return worker

    def most_free(self) -> Worker:
        """Returns the connected worker with the most free slots; raises NO_WORKER if none is connected.

        A worker with a full disk is the last choice. One that is drained is none.
        """
        workers = self._workers.values()
        connected = [each for each in workers if each.state.connected and not (each.draining or each.epic)]
        if not connected:
            reasons = "; ".join(
                f"{each.name}: {'drained' if each.state.connected else each.state.reason}" for each in workers
            )
            raise no_worker(
                f"no worker is connected ({reasons or 'the fleet is empty'}); start one, or wait until one reconnects"
            )
        return max(connected, key=lambda worker: (not worker.state.full, worker.free_slots))

    def list(self) -> list[pb.Worker]:
        """Returns the workers by name."""
        return [self._workers[name].state for name in sorted(self._workers)]

    def views(self) -> tuple[WorkerView, ...]:
        """Returns all workers in the form of policy snapshots."""
        return tuple(
            WorkerView(
                worker.name,
                worker.state.slots,
                connected=worker.state.connected,
                full=bool(worker.state.full),
                draining=worker.draining,
                epic=worker.epic,
                labels=frozenset(worker.labels.items()),
                agents=frozenset(each.name for each in worker.state.agents if each.available),
            )
            for worker in self._workers.values()
        )

    async def _poll(self, worker: Worker) -> None:
        while True:
            await asyncio.sleep(worker.pause)
            await self._heartbeat(worker)

    async def _heartbeat(self, worker: Worker) -> None:
        was_connected, was_full = worker.state.connected, bool(worker.state.full)
        try:
            request = pb.GetWorkerRequest()
            if self._epoch and (was_connected or worker.refuses):
                request.epoch = self._epoch
                worker.renewed = time.monotonic()
            answer = await call(worker.name, worker.agent.GetWorker, request, _HEARTBEAT_TIMEOUT)
            worker.state.CopyFrom(answer.worker)
            worker.state.connected, worker.refuses = True, False
            worker.state.reason = ""
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                if self.refused(error):
                    # The loop finds out whether a newer leader exists, or begins a term above that epoch.
                    self._epoch = 0
                    return
                worker.refuses = True
            worker.state.connected = False
            worker.state.reason = error.message
        worker.describe()
        worker.show()
        if (worker.state.connected, bool(worker.state.full)) != (was_connected, was_full):
            log.info(
                "worker_changed", worker=worker.name, connected=worker.state.connected, full=worker.state.full
            )
            self.on_change(worker.state)


def from_worker(worker: str, error: grpc.aio.AioRpcError) -> HeddleError:
    """Converts the error of a call: the worker's own error, NO_WORKER if unreachable, else INTERNAL."""
    known = errors.from_rpc(error)
    if known is not None:
        return known
    if error.code() in _AWAY:
        return no_worker(f"worker {worker} cannot be reached: {error.details()}")
    return HeddleError(
        pb.ERROR_REASON_INTERNAL, f"worker {worker} answered {error.code().name}: {error.details()}"
    )


async def call(worker: str, method: Callable[..., Awaitable[T]], request: Any, timeout: float) -> T:
    """Calls a worker once, for at most `timeout` seconds; raises HeddleError."""
    point = type(request).__name__.removesuffix("Request").removeprefix("AgentService")
    failpoint(f"{point}.before_call")
    try:
        answer = await method(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise from_worker(worker, error) from error
    failpoint(f"{point}.after_call")
    return answer
