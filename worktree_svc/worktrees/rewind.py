"""Rewinds an epic to one of its earlier commits; keeps the commits accepted since then under a ref."""

import structlog

from heddle import errors
from heddle.failpoints import failpoint
from heddle.names import AttemptName
from worktree_svc.content import checkouts
from worktree_svc.git import refs
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def rewind(project: Project, attempt: AttemptName, head: str, back_to: str) -> None:
    """Moves the epic's branch and its accepted commit from `head` to `back_to`, for `attempt`. Idempotent.

    Raises INVALID_FIELD and moves nothing if `back_to` is not an ancestor of `head`.
    """
    if head == back_to:
        return
    if not refs.is_ancestor(project.git, back_to, head):
        raise errors.invalid_field(
            "rewind_to", f"{back_to} is not an ancestor of {head}, the epic's last accepted commit"
        )
    epic = attempt.parent.parent
    checkouts.free_branch(project, epic)
    failpoint("rewind.before_move")
    refs.update(
        project.git,
        [
            refs.RefUpdate(refs.rewound_ref(attempt), head, refs.ABSENT),
            *refs.accepting(epic, back_to, head),
        ],
    )
    failpoint("rewind.after_move")
    log.info("epic_rewound", attempt=str(attempt), before=head, commit=back_to)
