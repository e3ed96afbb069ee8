"""How long worktrees and logs of ended runs, and the audit log, are kept. Pure, except that the conditions are SQL."""

from dataclasses import dataclass
from typing import Any, Final, Self

import sqlalchemy as sa

from heddle import pb
from heddle.config import Settings
from scheduler_svc.store.db.tables import epics, runs

# States of epics whose worktrees someone may want to inspect. Other worktrees are removed when their run ends.
LOOKED_AT: Final = (pb.EPIC_STATE_FAILED, pb.EPIC_STATE_CANCELLED, pb.EPIC_STATE_CONFLICTED)

_DAY: Final = 86_400_000_000

# One hundred years. Longer times would overflow in some places.
_LONGEST_DAYS: Final = 36_500


@dataclass(frozen=True)
class Retention:
    """Microseconds from the end of a run to the removal of its worktrees and logs, and those that audit entries stay."""

    worktrees: int
    logs: int
    audit: int = 365 * _DAY
    # Bytes of screenshots that are copied of each run, and stay as long as its logs.
    screenshots: int = 256 << 20

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the retention of the settings."""
        worktrees, logs, audit = (
            round(min(days, _LONGEST_DAYS) * _DAY)
            for days in (settings.keep_worktrees, settings.keep_logs, settings.keep_audit)
        )
        return cls(worktrees, logs, audit, settings.screenshot_copies)

    def is_due(self, now: int) -> sa.ColumnElement[bool]:
        """Returns the condition that an existing worktree can be removed, if its run has ended or ends now."""
        since = sa.func.coalesce(epics.c.restored_at, runs.c.ended_at, now)
        return sa.or_(
            sa.and_(epics.c.restored_at.is_(None), epics.c.state.not_in(LOOKED_AT)),
            since <= now - self.worktrees,
        )

    def remove_at(self, epic: Any) -> int | None:
        """Returns when the worktree of a row is removed automatically; None while its run has not ended.

        The row contains the epic's state and restored_at, and the run's ended_at.
        """
        if epic.ended_at is None:
            return None
        if epic.restored_at is None and epic.state not in LOOKED_AT:
            return int(epic.ended_at)
        return int(epic.restored_at or epic.ended_at) + self.worktrees
