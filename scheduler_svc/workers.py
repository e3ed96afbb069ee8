"""The workers as this replica sees them, and calls to them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
import structlog

from heddle import errors, pb
from heddle.channels import open_channel
from heddle.config import Tls, WorkerAddress
from heddle.errors import HeddleError
from heddle.v1.agent_service_pb2_grpc import AgentServiceStub
from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from scheduler_svc.snapshot import WorkerView

if TYPE_CHECKING:
    # Only the stub files know these two.
    from heddle.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceAsyncStub

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

# Seconds between heartbeats; sooner while a worker is away, so that it is used as soon as it is back.
POLL_INTERVAL: Final = 3.0
_POLL_LOST: Final = 0.5

# Seconds that a heartbeat may take.
_HEARTBEAT_TIMEOUT: Final = 5.0

_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


@dataclass
class Worker:
    """One worker: its stubs, and what its last heartbeat said."""

    name: str
    agent: "AgentServiceAsyncStub"
    worktree: "WorktreeServiceAsyncStub"
    state: pb.Worker = field(default_factory=pb.Worker)

    @property
    def free_slots(self) -> int:
        return self.state.slots - self.state.running_sessions


class Workers:
    """All workers of the settings. `on_change` hears of each that was lost or joined again."""

    def __init__(self, addresses: Iterable[WorkerAddress], tls: Tls | None = None) -> None:
        self._addresses = tuple(addresses)
        self._tls = tls
        self._channels: list[grpc.aio.Channel] = []
        self._workers: dict[str, Worker] = {}
        self._polls: list[asyncio.Task[None]] = []
        self.on_change: Callable[[pb.Worker], None] = lambda _: None

    async def start(self) -> None:
        """Connects; returns when each worker has answered or has failed to once."""
        for address in self._addresses:
            agent = open_channel(address.agent, self._tls)
            worktree = open_channel(address.worktree, self._tls)
            self._channels += [agent, worktree]
            worker = Worker(address.name, AgentServiceStub(agent), WorktreeServiceStub(worktree))
            worker.state.name = f"workers/{address.name}"
            self._workers[address.name] = worker
        await asyncio.gather(*(self._heartbeat(worker) for worker in self._workers.values()))
        self._polls = [asyncio.create_task(self._poll(worker)) for worker in self._workers.values()]

    async def close(self) -> None:
        """Stops the heartbeats and disconnects. Idempotent."""
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    def get(self, name: str) -> Worker:
        """Returns the worker; raises NO_WORKER if the settings name none such."""
        worker = self._workers.get(name)
        if worker is None:
            raise no_worker(
                f"no worker is called {name!r} now; HEDDLE_WORKERS must name the one that holds it"
            )
        return worker

    def slots(self, name: str) -> int:
        """Returns how many sessions a worker takes at once; 0 if that is not known."""
        worker = self._workers.get(name)
        return worker.state.slots if worker else 0

    def most_free(self) -> Worker:
        """Returns the connected worker with the most free slots; raises NO_WORKER if none is."""
        connected = [worker for worker in self._workers.values() if worker.state.connected]
        if not connected:
            reasons = "; ".join(f"{each.name}: {each.state.reason}" for each in self._workers.values())
            raise no_worker(f"no worker is connected ({reasons}); start one, or wait until it is back")
        return max(connected, key=lambda worker: worker.free_slots)

    def list(self) -> list[pb.Worker]:
        """Returns the workers by name."""
        return [self._workers[name].state for name in sorted(self._workers)]

    def views(self) -> tuple[WorkerView, ...]:
        """Returns the connected workers as decisions see them."""
        return tuple(
            WorkerView(worker.name, worker.state.slots)
            for worker in self._workers.values()
            if worker.state.connected
        )

    async def _poll(self, worker: Worker) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL if worker.state.connected else _POLL_LOST)
            await self._heartbeat(worker)

    async def _heartbeat(self, worker: Worker) -> None:
        was_connected = worker.state.connected
        try:
            answer = await call(
                worker.name, worker.agent.GetWorker, pb.GetWorkerRequest(), _HEARTBEAT_TIMEOUT
            )
            worker.state.CopyFrom(answer.worker)
            worker.state.connected = True
            worker.state.reason = ""
        except HeddleError as error:
            worker.state.connected = False
            worker.state.reason = error.message
        # What the settings call it: resources and pins use that name.
        worker.state.name = f"workers/{worker.name}"
        if worker.state.connected != was_connected:
            log.info("worker_changed", worker=worker.name, connected=worker.state.connected)
            self.on_change(worker.state)


def no_worker(message: str) -> HeddleError:
    """Returns the error for work that no worker can be asked for now."""
    return HeddleError(pb.ERROR_REASON_NO_WORKER, message)


def from_worker(worker: str, error: grpc.aio.AioRpcError) -> HeddleError:
    """Returns what a worker's answer means: its own error, NO_WORKER if it is away, else INTERNAL."""
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
    try:
        return await method(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise from_worker(worker, error) from error
