"""Says which worker or free slot a run or an epic waits for, and what ends the wait. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy.actions import NoteEpicWait, NoteWait
from scheduler_svc.policy.places import Places
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, WorkerView

_GOES_ON: Final = frozenset({pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING})
_STARTS: Final = frozenset({pb.EPIC_STATE_READY, pb.EPIC_STATE_RUNNING})


def changed(snapshot: Snapshot, without_place: Mapping[RunName, str]) -> Iterator[NoteWait]:
    """Yields a note for each run whose recorded wait is no longer true.

    `without_place` is what the runs wait for of which no session runs although an epic lacks only a place.
    """
    fleet = {worker.name: worker for worker in snapshot.workers}
    for run in snapshot.runs:
        reason = _placed(run, fleet, snapshot.lost) if run.placed else _reason(run, fleet)
        reason = reason or without_place.get(run.name, "")
        if reason != run.waits_for:
            yield NoteWait(run.name, reason)


def changed_epics(snapshot: Snapshot, places: Places) -> Iterator[NoteEpicWait]:
    """Yields a note for each epic whose recorded wait for a place is no longer true."""
    for run in snapshot.runs:
        if not run.placed:
            continue
        goes_on = run.state in _GOES_ON
        for epic in run.epics:
            starts = goes_on and epic.moves and epic.state in _STARTS and not (epic.merging or epic.busy)
            reason = places.lacks(epic) if starts else ""
            if reason != epic.waits_for:
                yield NoteEpicWait(epic.name, reason)


def _has_pending(run: RunView) -> bool:
    return any(task.startable for epic in run.epics for task in epic.sessions)


def _reason(run: RunView, fleet: Mapping[str, WorkerView]) -> str:
    """Returns the wait as a sentence without a full stop; empty if the run waits for no worker."""
    worker = fleet.get(run.worker)
    if worker is not None and worker.connected:
        if not worker.draining or run.ends or not _has_pending(run):
            return ""
        again = f"`heddle workers undrain {run.worker}` ends that"
        return f"worker {run.worker} is drained, so no task starts; {again}"
    problem = _problem(run.worker, fleet)
    if run.ends:
        return f"{problem}; its sessions end by themselves when its lease expires, and then the run ends"
    if worker is None:
        return f"{problem}; the run continues once it is added again, or cancel the run"
    return f"{problem}; the run continues once it is back"


def _placed(run: RunView, fleet: Mapping[str, WorkerView], lost: frozenset[str]) -> str:
    """The same for a run whose epics can move."""
    for epic in run.epics:
        worker = run.worker_of(epic)
        if worker and _needs_worker(epic) and not _is_connected(worker, fleet) and worker not in lost:
            problem = _problem(worker, fleet)
            if run.ends:
                return (
                    f"{problem}; its sessions end by themselves when its lease expires, and then the run ends"
                )
            if epic.moves:
                return f"{problem}; when its lease expires, its epics continue on other workers"
            return f"{problem}; epics that started before they could move continue once it is back"
    merges = run.merging_into or any(_only_merges(epic) for epic in run.epics)
    if merges and not _is_connected(run.worker, fleet):
        return f"{_problem(run.worker, fleet)}; the run's merges continue once it is back"
    return ""


def _needs_worker(epic: EpicView) -> bool:
    return epic.state not in ENDED_EPIC and any(task.live or task.startable for task in epic.tasks)


def _only_merges(epic: EpicView) -> bool:
    return epic.merging or (epic.state not in ENDED_EPIC and not epic.busy and epic.next_task is None)


def _is_connected(worker: str, fleet: Mapping[str, WorkerView]) -> bool:
    return worker in fleet and fleet[worker].connected


def _problem(worker: str, fleet: Mapping[str, WorkerView]) -> str:
    if worker in fleet:
        return f"worker {worker} cannot be reached"
    return f"worker {worker} is no longer in the fleet"
