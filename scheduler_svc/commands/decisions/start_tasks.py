"""Starts attempts, all that one decision starts with a handful of statements."""

from collections.abc import Sequence
from dataclasses import replace

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.queries.assignments import Assignment, Start, Wanted, read_starts
from scheduler_svc.store.rows import attempts, epics, runs, tasks

_ACTOR = "scheduler"

_RUNS = frozenset({pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING})
# Work that is done is taken over while its run is paused.
_TAKE_OVERS = _RUNS | {pb.RUN_STATE_PAUSED}


def start_tasks(connection: Connection, actions: Sequence[StartTask], now: int) -> list[Assignment | None]:
    """Writes the starts that still apply; returns the assignment of each, None if it does not apply."""
    wanted = [Wanted(action.attempt, action.share, action.worker) for action in actions]
    starts = read_starts(connection, wanted)
    # Resources that an earlier start of this call has started.
    begun: set[object] = set()
    started: list[Assignment | None] = []
    for action, start in zip(actions, starts, strict=True):
        attempt, assignment = action.attempt, start.assignment
        epic, run = attempt.parent.parent, attempt.parent.parent.parent
        runs_on = start.run_state in (_TAKE_OVERS if assignment.takes_over else _RUNS)
        # Candidates of one task start together.
        taken = epic in begun and not attempt.parent.candidate
        applies = start.is_next and runs_on and not taken
        if not applies or not tasks.start(connection, attempt):
            started.append(None)
            continue
        agent = assignment.spec.agent
        attempts.insert(
            connection,
            attempt,
            assignment.worker,
            agent,
            share=action.share,
            now=now,
            review=assignment.review,
            takes_over=assignment.takes_over,
        )
        events = []
        if start.run_state == pb.RUN_STATE_PENDING and run not in begun and runs.start(connection, run, now):
            events.append(event(run, _ACTOR, run_started=pb.RunStarted()))
        ready = start.epic_state == pb.EPIC_STATE_READY and epic not in begun
        if ready and epics.start(connection, epic, now):
            events.append(event(epic, _ACTOR, epic_started=pb.EpicStarted(title=start.epic_title)))
        begun |= {epic, run}
        if action.worker and action.worker != start.place:
            assignment, moved = _place(connection, epic, action, start, now)
            events += moved
        title = pb.TaskStarted(title=assignment.spec.title, agent=agent, worker=assignment.worker)
        append(connection, [*events, event(attempt, _ACTOR, task_started=title)], now)
        started.append(assignment)
    return started


def _place(
    connection: Connection, epic: EpicName, action: StartTask, start: Start, now: int
) -> tuple[Assignment, list[pb.Event]]:
    """Gives the epic a new place; returns the assignment there, and the event if it had another place before."""
    # Never the number of an earlier place: the remote could not tell the two apart.
    generation = start.assignment.generation + 1
    move = pb.EpicMove(
        from_worker=start.place, to_worker=action.worker, reason=action.left, time=timestamp(now)
    )
    values = {"last_move": move.SerializeToString()} if start.place else {}
    epics.place(connection, epic, action.worker, generation, **values)
    assignment = replace(
        start.assignment,
        generation=generation,
        worktree_path="",
        lease=pb.Lease(),
        set_up="",
        left=start.place,
    )
    if not start.place:
        return assignment, []
    moved = pb.EpicMoved(from_worker=start.place, to_worker=action.worker, reason=action.left)
    return assignment, [event(epic, _ACTOR, epic_moved=moved)]
