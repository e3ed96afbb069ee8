"""Why epics that could do something do not. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from heddle import pb
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, TaskView


@dataclass(frozen=True)
class _Case:
    """An epic with a task that could start, and what its start depends on."""

    run: RunView
    epic: EpicView
    task: TaskView
    # Sessions of its run.
    live: int
    connected: AbstractSet[str]
    held: AbstractSet[str]

    @property
    def worker_takes_work(self) -> bool:
        worker = self.run.worker_of(self.epic)
        # An epic without a place can have any.
        return worker in self.connected if worker else bool(self.connected)


# The first reason that applies counts.
_START_REASONS: Final[dict[str, Callable[[_Case], bool]]] = {
    "paused": lambda case: case.run.state == pb.RUN_STATE_PAUSED,
    "environment": lambda case: case.run.faulty,
    "dependency": lambda case: case.epic.state == pb.EPIC_STATE_BLOCKED,
    "retry_delay": lambda case: case.task.paced,
    "provider": lambda case: case.task.provider in case.held,
    "worker": lambda case: not case.worker_takes_work,
    "max_parallel": lambda case: case.live >= case.run.max_parallel,
    "slot": lambda _: True,
}

REASONS: Final = ("question", "manual_merge", "merge", *_START_REASONS)


def waiting(snapshot: Snapshot) -> Counter[str]:
    """Returns for each of REASONS how many epics wait for it. An epic with a session at work waits for nothing."""
    found: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
    found.update(reason for _, reason in reasons(snapshot))
    return found


def reasons(snapshot: Snapshot) -> Iterator[tuple[EpicView, str]]:
    """Yields each epic that waits, with what it waits for."""
    connected = {worker.name for worker in snapshot.workers if worker.takes_work}
    held = {each.name for each in snapshot.providers if each.held}
    for run in snapshot.runs:
        live = sum(task.live for epic in run.epics for task in epic.sessions)
        for epic in run.epics:
            if epic.state in ENDED_EPIC:
                continue
            if any(task.state == pb.TASK_STATE_WAITING for task in epic.sessions):
                yield epic, "question"
            elif epic.state == pb.EPIC_STATE_AWAITING_MERGE:
                yield epic, "manual_merge"
            elif not epic.busy:
                task = epic.next_task
                yield epic, _why(_Case(run, epic, task, live, connected, held)) if task else "merge"


def _why(case: _Case) -> str:
    """Returns the reason why the task has not started."""
    return next(reason for reason, applies in _START_REASONS.items() if applies(case))
