"""One worker of the fleet, as this replica knows it."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import grpc
from prometheus_client import Gauge

from heddle import pb
from heddle.config import WorkerAddress
from heddle.errors import HeddleError
from heddle.names import EpicName

if TYPE_CHECKING:
    # These two exist only in the stub files.
    from heddle.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceAsyncStub

# Seconds between heartbeats; shorter while a worker is unreachable, so that it is used as soon as it is back.
POLL_INTERVAL: Final = 3.0
_POLL_LOST: Final = 0.5

_CONNECTED: Final = Gauge("heddle_worker_connected", "1 while the worker answers, otherwise 0.", ["worker"])
_FULL: Final = Gauge("heddle_worker_full", "1 while the worker's disk accepts no new work.", ["worker"])
_SLOTS: Final = Gauge("heddle_worker_slots", "Sessions that the worker runs at the same time.", ["worker"])
_SESSIONS: Final = Gauge("heddle_worker_sessions", "Sessions that the worker runs now.", ["worker"])


@dataclass
class Worker:
    """One worker: its stubs, and the result of its last heartbeat."""

    name: str
    agent: "AgentServiceAsyncStub"
    worktree: "WorktreeServiceAsyncStub"
    state: pb.Worker = field(default_factory=pb.Worker)
    # When a request that renews its lease was last sent, possibly by an earlier leader.
    renewed: float = field(default_factory=time.monotonic)
    # True: it answers, but refuses every leader, because of an epoch that no leader set.
    refuses: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    # Who drained it, and when, in microseconds.
    drained: tuple[str, int] = ("", 0)
    # Whether its address is a socket or loopback.
    same_machine: bool = False
    # Its addresses if it registered itself. None: it is configured.
    registered: WorkerAddress | None = None
    # The epic for which a pool made it. None: it takes any.
    epic: EpicName | None = None
    channels: tuple[grpc.aio.Channel, ...] = ()
    poll: "asyncio.Task[None] | None" = None

    def describe(self) -> None:
        """Adds to its state what its own answers do not contain, or name otherwise."""
        # The name that resources and pins use.
        self.state.name = f"workers/{self.name}"
        self.state.labels.clear()
        self.state.labels.update(self.labels)
        self.state.draining = self.draining
        self.state.drained_by, drained_at = self.drained
        self.state.ClearField("drain_time")
        if drained_at:
            self.state.drain_time.FromMicroseconds(drained_at)
        self.state.same_machine = self.same_machine
        self.state.terminals = self.state.terminals and self.same_machine
        self.state.registered = self.registered is not None

    def show(self) -> None:
        """Shows its state in the metrics, unless it was made for one epic: their number would have no bound."""
        if self.epic is None:
            _CONNECTED.labels(self.name).set(self.state.connected)
            _FULL.labels(self.name).set(bool(self.state.full))
            _SLOTS.labels(self.name).set(self.state.slots)
            _SESSIONS.labels(self.name).set(self.state.running_sessions)

    def hide(self) -> None:
        """Removes it from the metrics."""
        for gauge in (_CONNECTED, _FULL, _SLOTS, _SESSIONS):
            with suppress(KeyError):
                gauge.remove(self.name)

    @property
    def free_slots(self) -> int:
        return self.state.slots - self.state.running_sessions

    def renewing(self) -> Self:
        """Returns the worker for a request that renews its lease; raises NO_WORKER while it is unreachable.

        A request that is sent to an unreachable worker could arrive unnoticed and extend a
        lease that this leader considers expired.
        """
        if not self.state.connected:
            raise no_worker(f"worker {self.name} is unreachable: {self.state.reason}")
        self.renewed = time.monotonic()
        return self

    def has_let_go(self, assumed: float) -> bool:
        """Returns whether its lease expired while it was unreachable, so that none of its sessions is left.

        `assumed` replaces a lease that the worker has not named, in seconds.
        """
        if self.state.connected:
            return False
        lease = self.state.lease.ToNanoseconds() / 1e9 if self.state.HasField("lease") else assumed
        return time.monotonic() - self.renewed > lease

    @property
    def pause(self) -> float:
        """The number of seconds until its next heartbeat."""
        if not self.state.connected:
            return _POLL_LOST
        lease = self.state.lease.ToNanoseconds() / 1e9
        return min(POLL_INTERVAL, lease / 5) if lease else POLL_INTERVAL


def no_worker(message: str) -> HeddleError:
    """Returns the error for work that no worker can do at the moment."""
    return HeddleError(pb.ERROR_REASON_NO_WORKER, message)
