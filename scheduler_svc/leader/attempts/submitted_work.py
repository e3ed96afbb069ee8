"""What reviews and candidates share: an attempt that accepts the submitted work of another one."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.store.queries.assignments import Assignment

# Calls CommitTask on the worker until it answers.
Commit: TypeAlias = Callable[[pb.CommitTaskRequest], Awaitable[pb.CommitTaskResponse]]


def acceptance(
    term: Term, owner: AttemptName, assignment: Assignment, submitted: AttemptName, commit: str
) -> pb.CommitTaskRequest:
    """Returns the request that accepts the commit of an attempt, in the worktree that `owner` has now."""
    return pb.CommitTaskRequest(
        project=assignment.project,
        attempt=str(submitted),
        epoch=term.epoch,
        submitted_commit=commit,
        owner_attempt=str(owner),
        generation=assignment.generation,
    )
