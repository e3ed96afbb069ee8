"""Reserves slots and ports, each for one epic.

A lease is part of the state of its epic's worktree, so both have the same lifetime.
The table in memory is only an index of the state files and is rebuilt at each start.
"""

import threading
from collections.abc import Iterable
from dataclasses import replace

import structlog

from heddle import errors, pb
from heddle.names import EpicName
from worktree_svc.storage import ports
from worktree_svc.storage.ports import PortRange
from worktree_svc.storage.worktree_store import Lease, WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Leases:
    """The leases below one data folder. Safe to use from threads.

    `begin` is the port at which the search for free ports starts. It differs for each
    data folder, so two data folders on one machine rarely collide.
    """

    def __init__(self, within: PortRange, begin: int) -> None:
        self.port_range = within
        self._begin = within.first + begin % (within.last - within.first + 1)
        self._mutex = threading.Lock()
        self._held: dict[EpicName, Lease] = {}

    def recover(self, store: WorktreeStore) -> None:
        """Reads the leases of all worktrees.

        If two overlap, removes one of them, and its epic gets a new lease.
        """
        for paths, state in store.all():
            if state.lease is None:
                continue
            holder = self._holder_of(state.lease)
            if holder is None:
                self._held[state.epic] = state.lease
                continue
            log.warning(
                "overlapping_lease_removed", epic=str(state.epic), slot=state.lease.slot, other=str(holder)
            )
            store.save(paths, replace(state, lease=None))

    def take(self, epic: EpicName, count: int) -> Lease:
        """Returns the epic's lease with `count` ports, or a new lease if it has none; raises NO_PORTS.

        The caller saves the lease or releases it.
        """
        with self._mutex:
            held = self._held.get(epic)
            if held and len(held.ports) == count:
                return held
            others = [lease for other, lease in self._held.items() if other != epic]
            slot = held.slot if held else _lowest_free(lease.slot for lease in others)
            self._held[epic] = Lease(slot, self._free_ports(count, others))
            return self._held[epic]

    def release(self, epic: EpicName) -> None:
        """Releases the epic's slot and ports. Idempotent."""
        with self._mutex:
            self._held.pop(epic, None)

    def _free_ports(self, count: int, others: Iterable[Lease]) -> tuple[int, ...]:
        if not count:
            return ()
        taken = {port for lease in others for port in lease.ports}
        block = ports.find_block(count, self.port_range, taken, self._begin)
        if block is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_NO_PORTS,
                f"there are no {count} consecutive free ports within {self.port_range}: {len(taken)} are leased by"
                " epics whose runs have not ended, others may be in use. End a run, or set a wider"
                " HEDDLE_PORT_RANGE for worktree_svc. Nothing was changed.",
                ports=count,
                range=self.port_range,
            )
        return tuple(block)

    def _holder_of(self, lease: Lease) -> EpicName | None:
        wanted = set(lease.ports)
        for epic, held in self._held.items():
            if held.slot == lease.slot or wanted.intersection(held.ports):
                return epic
        return None


def _lowest_free(slots: Iterable[int]) -> int:
    taken = set(slots)
    slot = 1
    while slot in taken:
        slot += 1
    return slot
