"""Says which worker a run waits for, and what ends the wait. Pure."""

from collections.abc import Iterator, Mapping

from scheduler_svc.policy.actions import NoteWait
from scheduler_svc.policy.snapshot import RunView, Snapshot, WorkerView


def changed(snapshot: Snapshot) -> Iterator[NoteWait]:
    """Yields a note for each run whose recorded wait is no longer true."""
    fleet = {worker.name: worker for worker in snapshot.workers}
    for run in snapshot.runs:
        reason = _reason(run, fleet)
        if reason != run.waits_for:
            yield NoteWait(run.name, reason)


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
    problem = (
        f"worker {run.worker} is no longer in the fleet"
        if worker is None
        else f"worker {run.worker} cannot be reached"
    )
    if run.ends:
        return f"{problem}; its sessions end by themselves when its lease expires, and then the run ends"
    if worker is None:
        return f"{problem}; the run continues once it is added again, or cancel the run"
    return f"{problem}; the run continues once it is back"
