"""Reads assignments: what a live attempt must do, and where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.model import base_sync
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.model.lifecycle.status import TaskStatus
from scheduler_svc.model.lifecycle.transitions import TASK_START
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.db.statements import ANY_ATTEMPT, ASSIGNMENT, START, of
from scheduler_svc.store.db.tables import attempts, tasks
from scheduler_svc.store.rows import candidate_worktrees


@dataclass(frozen=True)
class Assignment:
    """The complete input for driving a live attempt to its end."""

    # As its worker knows it.
    project: str
    # Where a new branch of its epic starts. If the epic has dependencies: the result of their merges.
    base_commit: str
    worker: str
    # Number of the epic's place, which `worker` is. 0: the epic is where its run is.
    generation: int
    # The project file at the creation of the run.
    project_file: pb.ProjectFile
    # Empty: no worktree of the epic is recorded.
    worktree_path: str
    # The epic's lease as of the last response of its worker.
    lease: pb.Lease
    # The incarnation of its worktree in which setup has run. Empty: none.
    set_up: str
    spec: pb.PlanTask
    # True: the start of its agent was reported.
    started: bool
    session_sequence: int
    # Set once the session has ended.
    result: pb.SessionFinished | None
    stop_reason: str | None
    # The amount that its session may cost, in micros. None: no limit.
    budget: int | None
    # The previous attempt, if it had the same agent and its session was lost or parked or the operator wants it
    # resumed.
    resume_attempt: str = ""
    # The same attempt, if this attempt also continues with its files.
    continue_attempt: str = ""
    # The operator's answers to that attempt.
    answers: Sequence[pb.ApprovalAnswer] = ()
    # The branch that it merges into its epic's branch, to resolve a conflict. Empty: none.
    merges: str = ""
    # The commit in which a person has resolved a conflict, with which it starts. Empty: none.
    resolution: str = ""
    # The revision to which its epic's branch is reset before it starts. Empty: no reset.
    rewind_to: str = ""
    # Its epic's and its run's branch, with their last commits.
    known_branches: Sequence[pb.KnownBranch] = ()
    # The accepted commits of the tasks that it needs.
    needed: Sequence[str] = ()
    # The branch of the project that it takes in too. None: none.
    base: pb.BaseBranch | None = None
    # True: its agent resolves a conflict with one of them.
    resolves_taken_in: bool = False
    # The review or comparison that it does; `spec` is then that of its reviewer. None: it works on its task.
    review: pb.Review | None = None
    # The review whose findings it fixes. None: none has rejected the task's work.
    rejected: pb.Review | None = None
    # True: its agent drafts a plan.
    draft: bool = False
    # The attempt of the chosen candidate whose work it takes over, and that work's commit. Empty: its agent works.
    takes_over: str = ""
    submitted_commit: str = ""
    # The worker that its epic has just left. Empty: none.
    left: str = ""


class Start(NamedTuple):
    """What decides whether an attempt may start, and its assignment."""

    run_state: "pb.RunState.ValueType"
    epic_state: "pb.EpicState.ValueType"
    epic_title: str
    # The worker that is the epic's place so far. Empty: none, or the epic does not move.
    place: str
    # True: the attempt is the next one of a pending task, and its epic has no live attempt.
    is_next: bool
    assignment: Assignment


class Wanted(NamedTuple):
    """An attempt to start: the amount that it may cost, and the place of its epic; empty: where its run is."""

    attempt: AttemptName
    share: int | None
    worker: str


def read_starts(connection: sa.Connection, wanted: Sequence[Wanted]) -> list[Start]:
    """Returns for each wanted attempt what its start needs; one round trip."""
    found = fetch(connection, [(START, of(each.attempt.parent)) for each in wanted])
    return [_start(connection, *each, row) for each, (row,) in zip(wanted, found, strict=True)]


def _start(
    connection: sa.Connection, attempt: AttemptName, share: int | None, worker: str, row: Any
) -> Start:
    epic = pb.PlanEpic.FromString(row.epic_spec)
    pending = TaskStatus(row.task_state) in TASK_START.sources
    is_next = pending and row.attempt_count == attempt.number - 1 and not row.has_live_attempt
    spec, reviewed = _reviewed(row)
    # What an attempt continues is read only if it starts.
    worker = worker or row.worker
    continued = _all_continued(connection, attempt, spec, reviewed, row, worker=worker) if is_next else {}
    common = _common(connection, attempt, row, worker, depends=bool(epic.depends_on))
    return Start(
        run_state=row.state,
        epic_state=row.epic_state,
        epic_title=epic.title,
        place=row.place,
        is_next=is_next,
        assignment=Assignment(
            **common,
            spec=spec,
            started=False,
            session_sequence=0,
            result=None,
            stop_reason=None,
            budget=share,
            **(_taken_in(connection, attempt, row, spec, reviewed | continued) if is_next else {}),
            **continued,
            **reviewed,
        ),
    )


def _common(
    connection: sa.Connection, attempt: AttemptName, row: Any, worker: str, *, depends: bool
) -> dict[str, Any]:
    """Returns the fields of an assignment on a worker from the rows of its run, epic and task."""
    own = candidate_worktrees.read(connection, attempt.workspace) if row.candidate else row
    known = (
        (attempt.parent.parent.branch, row.epic_head, False),
        # Only where the run is, its epics are merged.
        (RunName(attempt.run).branch, row.head_commit, worker != row.home),
    )
    return {
        "project": Home(row.project, row.home).project_at(worker),
        "base_commit": (depends and row.head_commit) or row.base_commit,
        "worker": worker,
        "generation": row.generation,
        "project_file": pb.ProjectFile.FromString(row.project_file or b""),
        "worktree_path": own.worktree_path if own else "",
        "lease": pb.Lease.FromString(own.lease or b"") if own else pb.Lease(),
        "set_up": own.set_up if own else "",
        "draft": row.draft,
        "merges": attempt.parent.parent.parent.branch if row.resolves and not row.resolution else "",
        "resolution": row.resolution,
        # Work that was under review, or of a candidate, is based on the reset branch.
        "rewind_to": "" if row.review or row.chosen else row.rewind_to,
        "known_branches": [
            pb.KnownBranch(branch=branch, commit=commit, elsewhere=elsewhere)
            for branch, commit, elsewhere in known
            if commit
        ],
    }


def read_assignment(connection: sa.Connection, attempt: AttemptName) -> Assignment | None:
    """Returns the assignment of a live attempt; None once it has ended."""
    row = connection.execute(ASSIGNMENT, of(attempt)).one_or_none()
    if row is None:
        return None
    spec, reviewed = _reviewed(row)
    depends = bool(pb.PlanEpic.FromString(row.epic_spec).depends_on)
    continued = _all_continued(connection, attempt, spec, reviewed, row, worker=row.worker)
    return Assignment(
        **_common(connection, attempt, row, row.worker, depends=depends),
        spec=spec,
        started=row.state != pb.ATTEMPT_STATE_STARTING,
        session_sequence=row.session_sequence,
        result=None if row.session_result is None else pb.SessionFinished.FromString(row.session_result),
        stop_reason=row.stop_reason,
        budget=row.share_micros,
        **_taken_in(connection, attempt, row, spec, reviewed | continued),
        **continued,
        **reviewed,
    )


def _reviewed(row: Any) -> tuple[pb.PlanTask, dict[str, Any]]:
    """Returns the plan of an attempt, and the field of its assignment about a review."""
    spec = pb.PlanTask.FromString(row.spec)
    if not row.review:
        return spec, {}
    review = pb.Review.FromString(row.review)
    if review.verdict == pb.REVIEW_VERDICT_REJECTED:
        return spec, {"rejected": review}
    if review.HasField("comparison"):
        return reviews.comparing_spec(spec), {"review": review}
    return reviews.reviewer_spec(spec, review), {"review": review}


def _all_continued(
    connection: sa.Connection,
    attempt: AttemptName,
    spec: pb.PlanTask,
    reviewed: Mapping[str, pb.Review],
    row: Any,
    *,
    worker: str,
) -> dict[str, Any]:
    """Returns the fields that define what the attempt resumes; adds to `spec` what was allowed for that session."""
    if "review" in reviewed:
        return _continued_review(connection, attempt, spec.agent, reviewed["review"], worker)
    if row.chosen:
        return _taken_over(connection, attempt, spec, row.chosen)
    found = _continued(
        connection, attempt, spec.agent, row.resume_from, reviewed.get("rejected"), worker=worker
    )
    if found.get("resume_attempt"):
        resumed = AttemptName.parse(found["resume_attempt"]).number
        spec.permissions.allow.extend(_allowed_before(connection, attempt, resumed))
    return found


def _taken_in(
    connection: sa.Connection, attempt: AttemptName, row: Any, spec: pb.PlanTask, continued: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the fields of an assignment about what its epic takes in; `continued` about work that it continues."""
    epic = pb.PlanEpic.FromString(row.epic_spec)
    found: dict[str, Any] = {}
    # Work that was under review already has what its task needs.
    if spec.needs and not row.review:
        found["needed"] = _needed(connection, attempt, spec.needs)
    # Other work that is continued is based on the last accepted commit, and so is a merge with the run's branch. The
    # candidates of a task must start at the same commit, while the project's branch can move.
    own = continued or row.review or row.resolves or row.draft or row.candidate
    if base_sync.is_due(row.sync_state, epic) and base_sync.branch_of(row) and not own:
        found["base"] = base_sync.base_branch(row, row.sync)
    return (
        found | {"resolves_taken_in": base_sync.resolves(row.sync_state, epic, spec.agent)} if found else {}
    )


def _needed(connection: sa.Connection, attempt: AttemptName, needs: Sequence[str]) -> list[str]:
    """Returns the accepted commits of tasks, given as EPIC/TASK; none for a task that the operator skipped."""
    found: list[str] = []
    for need in needs:
        epic, _, task = need.partition("/")
        chosen = sa.select(tasks.c.commit_id).where(
            tasks.c.run == attempt.run, tasks.c.epic == epic, tasks.c.task == task, tasks.c.commit_id != ""
        )
        found += connection.execute(chosen).scalars()
    return found


# An attempt that ended in one of these states is resumed by the next attempt without a request.
_RESUMES: Final = frozenset({pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_PARKED})


def _continued(
    connection: sa.Connection,
    attempt: AttemptName,
    agent: str,
    resume_from: int | None,
    rejected: pb.Review | None,
    *,
    worker: str,
) -> dict[str, Any]:
    """Returns the fields of the assignment that define what the attempt resumes.

    `resume_from` is the number of the newest attempt when the operator wanted it resumed, `rejected` the
    review whose findings the attempt fixes.
    """
    row = _newest_worker(connection, attempt)
    if row is None:
        return {}
    earlier = attempt.parent.attempt(row.number)
    submitted = rejected is not None and rejected.attempt == row.number
    newest = row.number == attempt.number - 1
    asked = submitted or resume_from == attempt.number - 1
    # Sessions are resumed where they ran. Submitted work can be fetched from the remote.
    if row.agent != agent or row.worker != worker:
        return {"continue_attempt": str(earlier)} if submitted else {}
    if not asked and not (newest and row.state in _RESUMES):
        return {}
    parked = row.state == pb.ATTEMPT_STATE_PARKED
    if not (asked or parked) and _had_others_since(connection, attempt, row.ended_at):
        return {}
    record = pb.Attempt.FromString(row.record)
    # Incomplete work is useful only to an agent that remembers it.
    continues = submitted or parked or record.HasField("agent_session")
    return {
        "resume_attempt": str(earlier),
        "continue_attempt": str(earlier) if continues else "",
        "answers": tuple(record.answers),
    }


def _continued_review(
    connection: sa.Connection, attempt: AttemptName, agent: str, review: pb.Review, worker: str
) -> dict[str, Any]:
    """Returns these fields for a review: it has the files under review, and can resume an earlier try of itself."""
    compares = review.HasField("comparison")
    # A comparison needs no files.
    found = {} if compares else {"continue_attempt": str(attempt.parent.attempt(review.attempt))}
    earlier = attempt.parent.attempt(attempt.number - 1)
    row = connection.execute(ANY_ATTEMPT, of(earlier)).one_or_none()
    if row is None or (row.agent, row.worker) != (agent, worker):
        return found
    done = pb.Attempt.FromString(row.record).review
    if (done.attempt, done.position, done.comparison) == (review.attempt, review.position, review.comparison):
        found["resume_attempt"] = str(earlier)
    return found


def _taken_over(
    connection: sa.Connection, attempt: AttemptName, spec: pb.PlanTask, chosen: int
) -> dict[str, Any]:
    """Returns these fields for an attempt that takes over a candidate's work; gives `spec` the candidate's agent."""
    name = attempt.parent.of_candidate(chosen)
    asked = sa.select(tasks.c.commit_id, tasks.c.spec).where(
        tasks.c.run == name.run, tasks.c.epic == name.epic, tasks.c.task == name.task
    )
    row = connection.execute(asked).one()
    spec.agent = pb.PlanTask.FromString(row.spec).agent
    candidate = str(submitted_attempt(connection, name))
    return {"takes_over": candidate, "continue_attempt": candidate, "submitted_commit": row.commit_id}


def submitted_attempt(connection: sa.Connection, name: TaskName) -> AttemptName | None:
    """Returns the attempt whose submitted work is up for a decision; None if there is none. Reviews can follow it."""
    chosen = sa.select(attempts.c.number).where(
        attempts.c.run == name.run,
        attempts.c.epic == name.epic,
        attempts.c.task == name.task,
        attempts.c.state == pb.ATTEMPT_STATE_SUBMITTED,
    )
    number = connection.execute(chosen).scalar_one_or_none()
    return None if number is None else name.attempt(number)


def _newest_worker(connection: sa.Connection, attempt: AttemptName) -> Any | None:
    """Returns the row of the newest earlier attempt that is not a review; None if there is none."""
    for number in range(attempt.number - 1, 0, -1):
        row = connection.execute(ANY_ATTEMPT, of(attempt.parent.attempt(number))).one()
        if not pb.Attempt.FromString(row.record).HasField("review"):
            return row
    return None


def _allowed_before(connection: sa.Connection, attempt: AttemptName, resumed: int) -> Iterator[str]:
    """Yields the rules that the operator allowed for the rest of the session that `attempt` resumes."""
    for number in range(resumed, 0, -1):
        row = connection.execute(ANY_ATTEMPT, of(attempt.parent.attempt(number))).one()
        if number < resumed and row.state not in _RESUMES:
            return
        yield from pb.Attempt.FromString(row.record).allowed_rules


def _had_others_since(connection: sa.Connection, attempt: AttemptName, moment: int) -> bool:
    """Returns whether another task of the epic started since `moment`; older sessions miss its changes."""
    if attempt.parent.candidate:
        # Until one is chosen, only other candidates run, in other worktrees.
        return False
    others = sa.select(attempts.c.task).where(
        attempts.c.run == attempt.run,
        attempts.c.epic == attempt.epic,
        attempts.c.task != attempt.task,
        attempts.c.started_at >= moment,
    )
    return connection.execute(others.limit(1)).one_or_none() is not None
