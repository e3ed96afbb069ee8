"""Decides which worker is the place of an epic. Part of the policy; pure.

An epic of a project by URL can move to another worker between two attempts, because its accepted commits are at the
project's remote. It does not move without a reason: its place has its worktree, its setup and the sessions that can be
resumed. All other epics are where their run is.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

from scheduler_svc.policy.snapshot import EpicView, RunView, TaskView, WorkerView

_NO_RETRY: Final = "(no retry used)"


class Places:
    """The free slots of the workers, while a decision gives them to epics."""

    def __init__(self, workers: Iterable[WorkerView], lost: frozenset[str]) -> None:
        self._workers = {worker.name: worker for worker in workers}
        self._lost = lost
        self._free = {
            worker.name: worker.slots
            for worker in self._workers.values()
            if worker.takes_work and not worker.draining
        }
        # Filled on first use: the workers with the most free slots first, possibly with outdated numbers.
        self._most_free: list[tuple[int, str]] | None = None

    def free(self, worker: str) -> int:
        """Returns the free slots of a worker; 0 if no session can start there."""
        return max(self._free.get(worker, 0), 0)

    def occupy(self, worker: str) -> None:
        """Takes a slot of a worker."""
        self._change(worker, -1)

    def vacate(self, worker: str) -> None:
        """Gives back a slot of a worker."""
        self._change(worker, 1)

    def _change(self, worker: str, by: int) -> None:
        if worker in self._free:
            self._free[worker] += by
            if self._most_free is not None and by > 0:
                heapq.heappush(self._most_free, (-self._free[worker], worker))

    def choose(self, run: RunView, epic: EpicView, task: TaskView) -> str | None:
        """Returns the worker on which the next task of an epic can start; None if none has a free slot."""
        if not epic.moves:
            return run.worker if self.free(run.worker) else None
        if epic.worker and (self.free(epic.worker) or self._stays(epic, task)):
            return epic.worker if self.free(epic.worker) else None
        return self._best(run)

    def may_use(self, run: RunView, epic: EpicView, task: TaskView, worker: str) -> bool:
        """Returns whether the next task of an epic could start on a worker if that had a free slot."""
        if not epic.moves:
            return worker == run.worker and worker in self._free
        stays = epic.worker and self._stays(epic, task)
        return worker in self._free and (not stays or worker == epic.worker)

    def _stays(self, epic: EpicView, task: TaskView) -> bool:
        """Returns whether the next task waits for the epic's place, which has no free slot now."""
        if epic.worker in self._lost:
            return False
        worker = self._workers.get(epic.worker)
        if worker is None or not worker.connected:
            # Its sessions may still run, until its lease has expired.
            return True
        if task.resumes:
            return True
        # Another attempt continues with the files of the last one, unless no session starts there at all.
        return task.attempts > 0 and worker.name in self._free

    def _best(self, run: RunView) -> str | None:
        """Returns the worker with the most free slots, where the run is if that has as many; None if none has any."""
        if self._most_free is None:
            self._most_free = [(-count, name) for name, count in self._free.items()]
            heapq.heapify(self._most_free)
        while self._most_free:
            count, name = self._most_free[0]
            if -count == self._free[name]:
                break
            heapq.heapreplace(self._most_free, (-self._free[name], name))
        if not self._most_free or not self.free(self._most_free[0][1]):
            return None
        name = self._most_free[0][1]
        return run.worker if self.free(run.worker) == self.free(name) else name

    def left(self, epic: EpicView, worker: str) -> str:
        """Returns why the epic leaves its place for `worker`; empty if it has none or stays."""
        if not epic.worker or epic.worker == worker:
            return ""
        if epic.worker in self._lost:
            return f"{epic.worker} was lost {_NO_RETRY}"
        if epic.worker in self._free:
            return f"{epic.worker} had no free slot"
        found = self._workers.get(epic.worker)
        return f"{epic.worker} was {'drained' if found and found.draining else 'full'}"

    def wait(self, run: RunView, epics: Iterable[EpicView]) -> str:
        """Returns what epics without a place wait for, as a sentence without a full stop."""
        names = sorted(self._open_to(run, epics))
        return f"waiting for a place: {sum(map(bool, map(self.free, names)))}/{len(names)} workers have a free slot"

    def _open_to(self, run: RunView, epics: Iterable[EpicView]) -> Iterator[str]:
        for name in self._free:
            if any((task := epic.next_task) and self.may_use(run, epic, task, name) for epic in epics):
                yield name
