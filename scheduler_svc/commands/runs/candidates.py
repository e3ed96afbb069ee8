"""Starts the candidates of a task, and writes the choice of one. Each function runs inside one transaction."""

from collections.abc import Sequence

from heddle import pb
from heddle.errors import invalid_field, not_found
from heddle.names import TaskName
from scheduler_svc.commands.runs.create_run import task_row
from scheduler_svc.commands.runs.reopen import check_reopenable, reopen_task
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans import candidates
from scheduler_svc.policy.decision import should_retry
from scheduler_svc.store.db.database import Connection, Row
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.outcomes.candidate_outcomes import candidate_rows, give_up
from scheduler_svc.store.queries.assignments import submitted_attempt
from scheduler_svc.store.queries.records import is_tried
from scheduler_svc.store.queries.records import task_row as read_task
from scheduler_svc.store.queries.resources import get_task
from scheduler_svc.store.rows import tasks

_ACTOR = "scheduler"

# How the newest attempt of a candidate ends that failed on its own. Its work can have been rejected by a review.
_NOT_STOPPED = {pb.ATTEMPT_STATE_FAILED, pb.ATTEMPT_STATE_REVIEWED}

_NOT_PASSED = {
    pb.TASK_STATE_PENDING: "it has not started",
    pb.TASK_STATE_RUNNING: "it is running",
    pb.TASK_STATE_WAITING: "it waits for the operator",
    pb.TASK_STATE_FAILED: "it has failed",
    pb.TASK_STATE_SKIPPED: "it was skipped",
}


def check_whole(name: TaskName) -> None:
    """Raises INVALID_FIELD for a candidate, which follows what is decided about its task."""
    if name.candidate:
        raise invalid_field("name", f"{name} is a candidate; name the task itself, {name.whole}")


def start(connection: Connection, name: TaskName, now: int) -> bool:
    """Starts a round of candidates of a pending task; returns False and writes nothing if it is not pending."""
    row = read_task(connection, name)
    if row is None or not row.candidates:
        return False
    if not tasks.try_to(connection, name, transitions.TASK_TRY, rounds=row.rounds + 1):
        return False
    give_up(connection, name, "its task was tried again")
    known = {each.candidate: each for each in candidate_rows(connection, name)}
    planned = candidates.specs(pb.PlanTask.FromString(row.spec))
    for number, spec in enumerate(planned, 1):
        candidate = name.of_candidate(number)
        spec.key = candidate.task
        if number in known:
            move = transitions.TASK_TRY_AGAIN
            tasks.move(connection, candidate, move, spec=spec.SerializeToString(), agents=row.agents)
        else:
            added = task_row(name.parent, row.position, spec) | {"candidate": number, "needs": ""}
            # Their place must have the agents of all of them.
            tasks.insert(connection, [added | {"agents": row.agents}])
    started = pb.CandidatesStarted(count=len(planned))
    append(connection, [event(name, _ACTOR, candidates_started=started)], now)
    return True


def ask(connection: Connection, name: TaskName, numbers: Sequence[int], now: int) -> bool:
    """Makes the task wait for the operator's choice; returns False if it no longer waits for its candidates."""
    row = read_task(connection, name)
    if row is None or row.chosen:
        return False
    listed = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    reason = f"candidates {listed} passed: choose one"
    if not tasks.try_to(connection, name, transitions.TASK_ASK, reason=reason):
        return False
    append(connection, [event(name, _ACTOR, task_waiting=pb.TaskWaiting(reason=reason, parked=True))], now)
    return True


def compare(connection: Connection, name: TaskName, numbers: Sequence[int]) -> bool:
    """Has the next attempt compare these candidates; returns False if the task no longer waits for them."""
    row = read_task(connection, name)
    if row is None or row.chosen or row.review is not None or not is_tried(connection, name):
        return False
    lanes = {each.candidate: each for each in candidate_rows(connection, name)}
    review = pb.Review()
    for number in numbers:
        lane = lanes[number]
        review.comparison.candidates.add(candidate=number, commit=lane.commit_id, score=lane.score)
    return tasks.try_to(connection, name, transitions.TASK_REVIEW, review=review.SerializeToString())


def choose(connection: Connection, name: TaskName, number: int, reason: str, now: int) -> bool:
    """Has the work of a candidate taken over; all have ended. Returns False if another choice was made meanwhile.

    `reason`: why. Empty: the operator has chosen it.
    """
    row = read_task(connection, name)
    if row is None or row.chosen not in {0, number}:
        return False
    if not tasks.try_to(connection, name, transitions.TASK_CHOOSE, chosen=number):
        return False
    if not row.chosen:
        chosen = pb.CandidateChosen(candidate=number, reason=reason)
        append(connection, [event(name, _ACTOR, candidate_chosen=chosen)], now)
    return True


def fail(connection: Connection, name: TaskName, now: int) -> bool:
    """Fails a task none of whose candidates has passed, or lets them start again; False if it has ended."""
    row = read_task(connection, name)
    if row is None or row.state != pb.TASK_STATE_RUNNING:
        return False
    rows = candidate_rows(connection, name)
    failed = [name.of_candidate(each.candidate) for each in rows if each.state == pb.TASK_STATE_FAILED]
    # What the operator stopped is not tried again by itself.
    states = {get_task(connection, each).latest_attempt.state for each in failed}
    outcome = pb.OUTCOME_FAILED if _NOT_STOPPED & states else pb.OUTCOME_STOPPED
    again = should_retry(outcome, row.rounds, pb.PlanTask.FromString(row.spec).retries, 0)
    why = next((each.reason for each in rows if each.reason), "")
    reason = f"none of its {len(rows)} candidates passed" + (f"; the first: {why}" if why else "")
    move = transitions.TASK_FAIL_ONCE if again else transitions.TASK_FAIL
    tasks.move(connection, name, move, reason=reason)
    told = pb.TaskFailed(reason=reason, will_retry=again)
    append(connection, [event(name, _ACTOR, task_failed=told)], now)
    return True


def choose_candidate(connection: Connection, name: TaskName, actor: str, number: int, now: int) -> None:
    """Writes the operator's choice; raises NOT_FOUND, INVALID_FIELD or WRONG_STATE."""
    check_whole(name)
    row = read_task(connection, name)
    if row is None:
        raise not_found(name)
    state = pb.TaskState.Name(row.state)
    if not row.candidates:
        raise wrong_state(name, state, "it has no candidates to choose from")
    if row.chosen == number and row.state not in {pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED}:
        return
    lane = next((each for each in candidate_rows(connection, name) if each.candidate == number), None)
    if lane is None:
        raise not_found(f"candidate {number} of {name}")
    if row.state == pb.TASK_STATE_ACCEPTED:
        advice = f"candidate {row.chosen} is accepted; to choose again, set that aside with retry --from-here"
        raise wrong_state(name, state, advice)
    if lane.state != pb.TASK_STATE_PASSED:
        raise wrong_state(name.of_candidate(number), pb.TaskState.Name(lane.state), _NOT_PASSED[lane.state])
    _check_passed(connection, name, lane)
    _move_to_choice(connection, name, row, number, actor=actor, now=now)
    append(connection, [event(name, actor, candidate_chosen=pb.CandidateChosen(candidate=number))], now)


def _move_to_choice(
    connection: Connection, name: TaskName, row: Row, number: int, *, actor: str, now: int
) -> None:
    """Has the work of a candidate taken over that has passed; raises WRONG_STATE."""
    state, compares = pb.TaskState.ValueType(row.state), row.review is not None
    if state == pb.TASK_STATE_FAILED:
        check_reopenable(connection, name.parent)
        tasks.move_from(connection, name, state, transitions.TASK_CHOOSE_AGAIN, chosen=number)
        reopen_task(connection, name, actor, now)
    elif row.chosen:
        raise wrong_state(name, pb.TaskState.Name(state), f"candidate {row.chosen} was chosen")
    elif state == pb.TASK_STATE_PENDING and compares:
        # The comparison has not started.
        tasks.move_from(connection, name, state, transitions.TASK_CHOOSE_UNCOMPARED, chosen=number)
    elif state == pb.TASK_STATE_WAITING:
        tasks.move_from(connection, name, state, transitions.TASK_CHOOSE, chosen=number)
    elif state != pb.TASK_STATE_RUNNING:
        raise wrong_state(name, pb.TaskState.Name(state), "its candidates do not run")
    elif not is_tried(connection, name):
        attempt = name.attempt(row.attempt_count)
        advice = f"an agent compares its candidates; stop {attempt} first, or wait for its choice"
        raise wrong_state(name, pb.TaskState.Name(state), advice)
    else:
        # The others are stopped first.
        tasks.change(connection, name, chosen=number)


def _check_passed(connection: Connection, name: TaskName, lane: Row) -> None:
    """Raises WRONG_STATE if the candidate's work was given up, as when its task was skipped."""
    candidate = name.of_candidate(lane.candidate)
    if submitted_attempt(connection, candidate) is None:
        advice = "its work is no longer up for a choice; retry the task"
        raise wrong_state(candidate, pb.TaskState.Name(lane.state), advice)
