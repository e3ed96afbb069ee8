"""The project's branch in simulated runs: it moves, and epics take it in before an attempt."""

from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.store.outcomes import attempt_outcomes, base_syncs
from scheduler_svc.store.queries.assignments import Assignment
from tests.chaos.session_ends import Write


class ProjectBranch:
    """One branch for all runs, whose commits are numbered; each may conflict with epics that lack it."""

    def __init__(self) -> None:
        self._conflicts = [False]
        # How many commits each epic has.
        self._held: dict[EpicName, int] = {}
        # The commits whose conflicts live attempts resolve.
        self._resolving: dict[AttemptName, int] = {}

    def move(self, *, conflicts: bool) -> None:
        """Adds a commit."""
        self._conflicts.append(conflicts)

    def take_in(self, attempt: AttemptName, assignment: Assignment, now: int) -> tuple[Write, bool]:
        """Returns what the scheduler writes when a worktree has taken the branch in, and whether that ends the attempt."""
        epic, branch = attempt.parent.parent, assignment.base.branch if assignment.base else ""
        held, tip = self._held.get(epic, 1), len(self._conflicts)
        commit = f"{tip:040x}"
        conflicts = any(self._conflicts[held:])
        if conflicts and not assignment.resolves_taken_in:
            hold = partial(
                base_syncs.hold,
                attempt=attempt,
                branch=branch,
                commit=commit,
                files=["shared.txt"],
                reason=f"{branch} conflicts. To merge it, decide",
                now=now,
            )
            return partial(_held, attempt=attempt, hold=hold, now=now), True
        if conflicts:
            self._resolving[attempt] = tip
        else:
            self._held[epic] = tip
        found = pb.BaseTakenIn(commit=commit, commit_count=tip - held, conflicts=conflicts)
        ensured = pb.EnsureWorktreeResponse(base=found, worktree=pb.Worktree(path=f"/{epic}"))
        return partial(
            attempt_outcomes.record_worktree,
            attempt=attempt,
            ensured=ensured,
            worker=assignment.worker,
            base_branch=branch,
            now=now,
        ), False

    def resolved(self, attempt: AttemptName) -> str:
        """Returns the commit whose conflict an attempt has resolved; empty if it had none to resolve."""
        tip = self._resolving.pop(attempt, None)
        if tip is None:
            return ""
        self._held[attempt.parent.parent] = tip
        return f"{tip:040x}"


def _held(
    connection: sa.Connection, attempt: AttemptName, hold: Callable[[sa.Connection], bool], now: int
) -> None:
    """Ends an attempt whose epic is held; if it was asked to stop meanwhile, it ends as stopped."""
    if not hold(connection):
        stopped = pb.SessionFinished(outcome=pb.OUTCOME_STOPPED)
        kept = pb.DiscardAttemptResponse()
        attempt_outcomes.fail(connection, attempt, stopped, kept, should_retry=_never, now=now)


def _never(_outcome: "pb.Outcome.ValueType", _attempts: int, _retries: int, _lost: int) -> bool:
    return False
