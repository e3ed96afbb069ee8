"""Decides which worker is the place of an epic. Part of the policy; pure.

An epic of a project by URL can move to another worker between two attempts, because its accepted commits are at the
project's remote. It does not move without a reason: its place has its worktree, its setup and the sessions that can be
resumed. All other epics are where their run is.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from heddle import labels
from scheduler_svc.model.sessions.agent_availability import is_offered
from scheduler_svc.policy.actions import MoveRun
from scheduler_svc.policy.epic_end import plural
from scheduler_svc.policy.snapshot import EpicView, PodsView, RunView, Snapshot, TaskView, WorkerView

_NO_RETRY: Final = "(no retry used)"


class Places:
    """The free slots of the workers, while a decision gives them to epics."""

    def __init__(
        self, workers: Iterable[WorkerView], lost: frozenset[str], pods: PodsView | None = None
    ) -> None:
        self._workers = {worker.name: worker for worker in workers}
        self._lost = lost
        self._pods = pods
        able = [each for each in self._workers.values() if each.takes_work and not each.draining]
        self._free = {worker.name: worker.slots for worker in able if worker.epic is None}
        # The workers that were made for one epic each.
        self._own = {worker.epic: worker.name for worker in able if worker.epic}
        self._free_own = {worker.name: worker.slots for worker in able if worker.epic}
        # Filled on first use: the workers with the most free slots first, possibly with outdated numbers.
        self._most_free: list[tuple[int, str]] | None = None
        # By labels and agents: which of them no worker offers, in words.
        self._lacking: dict[tuple[frozenset[tuple[str, str]], tuple[str, ...]], str] = {}

    def free(self, worker: str) -> int:
        """Returns the free slots of a worker; 0 if no session can start there."""
        return max(self._free.get(worker, 0), self._free_own.get(worker, 0), 0)

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
        elif worker in self._free_own:
            self._free_own[worker] += by

    def choose(self, run: RunView, epic: EpicView, task: TaskView) -> str | None:
        """Returns the worker on which the next task of an epic can start; None if none has a free slot."""
        if not epic.moves:
            return run.worker if self.free(run.worker) else None
        if self._has_pod(epic):
            own = self._own.get(epic.name, "")
            return own if self.free(own) else None
        if epic.worker and (self._is_free(epic.worker, epic, task) or self._stays(epic, task)):
            return epic.worker if self.free(epic.worker) else None
        return self._best(run, epic, task)

    def may_use(self, run: RunView, epic: EpicView, task: TaskView, worker: str) -> bool:
        """Returns whether the next task of an epic could start on a worker if that had a free slot."""
        if not epic.moves:
            return worker == run.worker and worker in self._free
        if self._has_pod(epic):
            return worker == self._own.get(epic.name)
        stays = epic.worker and self._stays(epic, task)
        return (
            worker in self._free
            and (not stays or worker == epic.worker)
            and _fits(self._workers[worker], epic, task)
        )

    def _is_free(self, worker: str, epic: EpicView, task: TaskView) -> bool:
        return bool(self.free(worker)) and _fits(self._workers[worker], epic, task)

    def asks(self, epic: EpicView) -> bool:
        """Returns whether an epic whose next task could start has no place, and must ask the pool for one."""
        return self._has_pod(epic) and epic.name not in self._own and not self._is_alive(epic.worker)

    def asked(self, epic: EpicView) -> bool:
        """Returns whether an epic has asked for a place that it does not have yet."""
        return bool(self._pods and epic.name in self._pods.waits and epic.name not in self._own)

    def failure(self, epic: EpicView) -> str:
        """Returns why the pool cannot make the epic's place; empty: it can, or was not asked."""
        return self._pods.failures.get(epic.name, "") if self._pods else ""

    def _has_pod(self, epic: EpicView) -> bool:
        """Returns whether the epic's next place is made by the pool. One that is on another worker stays there."""
        if self._pods is None or not epic.moves:
            return False
        worker = self._workers.get(epic.worker)
        return worker is None or worker.epic is not None or not self._is_alive(epic.worker)

    def _is_alive(self, worker: str) -> bool:
        """Returns whether sessions of an epic may still run on its worker, or can start there again."""
        return bool(worker) and worker not in self._lost

    def _stays(self, epic: EpicView, task: TaskView) -> bool:
        """Returns whether the next task waits for the epic's place, which has no free slot now."""
        if epic.worker in self._lost:
            return False
        worker = self._workers.get(epic.worker)
        if worker is None or not worker.connected:
            # Its sessions may still run, until its lease has expired.
            return True
        if epic.tied:
            return True
        if not _fits(worker, epic, task):
            return False
        if task.resumes:
            return True
        # Another attempt continues with the files of the last one, unless no session starts there at all.
        return task.attempts > 0 and worker.name in self._free

    def _best(self, run: RunView, epic: EpicView, task: TaskView) -> str | None:
        """Returns the worker with the most free slots, where the run is if that has as many; None if none has any."""
        name = self._first()
        if name is None:
            return None
        if not _fits(self._workers[name], epic, task):
            fitting = [each for each in self._free if self._is_free(each, epic, task)]
            if not fitting:
                return None
            name = max(fitting, key=self.free)
        home = self.free(run.worker) == self.free(name) and self._is_free(run.worker, epic, task)
        return run.worker if home else name

    def _first(self) -> str | None:
        """Returns the worker with the most free slots; None if none has any."""
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
        return self._most_free[0][1]

    def left(self, epic: EpicView, worker: str) -> str:
        """Returns why the epic leaves its place for `worker`; empty if it has none or stays."""
        if not epic.worker or epic.worker == worker:
            return ""
        if epic.worker in self._lost:
            return f"{epic.worker} was lost {_NO_RETRY}"
        found = self._workers.get(epic.worker)
        if found and (task := epic.next_task) and not _fits(found, epic, task):
            return f"{epic.worker} did not have what it needs"
        if epic.worker in self._free:
            return f"{epic.worker} had no free slot"
        return f"{epic.worker} was {'drained' if found and found.draining else 'full'}"

    def wait(self, run: RunView, epics: Sequence[EpicView]) -> str:
        """Returns what epics without a place wait for, as a sentence without a full stop."""
        if self._pods is not None:
            return self._waits_for_pods(list(epics))
        names = sorted(self._open_to(run, epics))
        if self._free and not names:
            return self._unmet(epics)
        return f"waiting for a place: {sum(map(bool, map(self.free, names)))}/{len(names)} workers have a free slot"

    def lacks(self, epic: EpicView) -> str:
        """Returns why the epic in particular has no place for its next task, as a sentence without a full stop.

        Empty: it has one, or waits for any free slot.
        """
        if self._pods and (reason := self._pods.waits.get(epic.name)):
            return f"waiting for a place: {reason}"
        task = epic.next_task
        if task is None or not self._free or self._has_pod(epic):
            return ""
        if epic.worker and self._stays(epic, task):
            return ""
        # Most epics of a run need the same.
        needs = (epic.labels, task.agents)
        if needs not in self._lacking:
            fits = any(_fits(self._workers[name], epic, task) for name in self._free)
            self._lacking[needs] = "" if fits else self._unmet([epic])
        return self._lacking[needs]

    def _unmet(self, epics: Iterable[EpicView]) -> str:
        """Returns what epics need that no worker offers."""
        workers = [self._workers[name] for name in self._free]
        wanted = {need: offered for epic in epics for need, offered in _needs(epic, workers)}
        # If each is offered, but by no worker all of them, all are named.
        named = sorted(need for need, offered in wanted.items() if not offered) or sorted(wanted)
        return f"waiting for a place: no worker offers {', '.join(named)}"

    def _waits_for_pods(self, epics: list[EpicView]) -> str:
        reasons = [reason for each in epics if (reason := self._pods and self._pods.waits.get(each.name))]
        if not reasons:
            return ""
        return f"waiting for {plural(len(reasons), 'place')}: {reasons[0]}"

    def _open_to(self, run: RunView, epics: Sequence[EpicView]) -> Iterator[str]:
        for name in self._free:
            if any((task := epic.next_task) and self.may_use(run, epic, task, name) for epic in epics):
                yield name


def moved_runs(snapshot: Snapshot) -> Iterator[MoveRun]:
    """Yields a new worker for each run whose worker was lost, unless one of its epics can only be there."""
    able = [each for each in snapshot.workers if each.takes_work and not (each.draining or each.epic)]
    for run in snapshot.runs:
        if able and run.placed and run.worker in snapshot.lost and all(epic.moves for epic in run.epics):
            yield MoveRun(run.name, max(able, key=lambda each: each.slots).name)


def _fits(worker: WorkerView, epic: EpicView, task: TaskView) -> bool:
    """Returns whether a worker has the labels that the epic asks for, and the agents of the task."""
    if not epic.labels <= worker.labels:
        return False
    return not worker.agents or all(is_offered(agent, worker.agents) for agent in task.agents)


def _needs(epic: EpicView, workers: Sequence[WorkerView]) -> Iterator[tuple[str, bool]]:
    """Yields what an epic needs of a worker, in words, and whether one of the workers offers it."""
    if epic.labels:
        text = f"the labels {labels.text(dict(epic.labels))}"
        yield text, any(epic.labels <= worker.labels for worker in workers)
    task = epic.next_task
    for agent in task.agents if task else ():
        yield f"agent {agent!r}", any(is_offered(agent, worker.agents) for worker in workers)
