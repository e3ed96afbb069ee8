"""How long what an ended run leaves behind is kept. Pure, but for the conditions being SQL."""

from dataclasses import dataclass
from typing import Any, Final, Self

import sqlalchemy as sa

from heddle import pb
from heddle.config import Settings
from scheduler_svc.store.db.tables import epics, runs

# Epics whose worktrees somebody may want to look at. Those of others go when their run ends.
LOOKED_AT: Final = (pb.EPIC_STATE_FAILED, pb.EPIC_STATE_CANCELLED, pb.EPIC_STATE_CONFLICTED)

_DAY: Final = 86_400_000_000

# A hundred years: what is longer does not fit everywhere.
_LONGEST_DAYS: Final = 36_500


@dataclass(frozen=True)
class Retention:
    """Microseconds from the end of a run to the removal of worktrees and logs."""

    worktrees: int
    logs: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns what the settings say."""
        return cls(
            *(
                round(min(days, _LONGEST_DAYS) * _DAY)
                for days in (settings.keep_worktrees, settings.keep_logs)
            )
        )

    def is_due(self, now: int) -> sa.ColumnElement[bool]:
        """Returns the condition that a worktree which is there may go, of an epic whose run has ended or ends now."""
        since = sa.func.coalesce(epics.c.restored_at, runs.c.ended_at, now)
        return sa.or_(
            sa.and_(epics.c.restored_at.is_(None), epics.c.state.not_in(LOOKED_AT)),
            since <= now - self.worktrees,
        )

    def remove_at(self, epic: Any) -> int | None:
        """Returns when the worktree of a row goes by itself; None while its run has not ended.

        The row has the epic's state and restored_at, and the run's ended_at.
        """
        if epic.ended_at is None:
            return None
        if epic.restored_at is None and epic.state not in LOOKED_AT:
            return int(epic.ended_at)
        return int(epic.restored_at or epic.ended_at) + self.worktrees
