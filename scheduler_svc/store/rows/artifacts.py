"""Writes and reads copies of screenshots, which otherwise exist on one worker's disk only."""

from typing import Final

import sqlalchemy as sa

from heddle.names import AttemptName, RunName
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import artifacts

# What a row needs besides its data, in bytes: many small pictures must not escape the limit of a run.
_ROW_BYTES: Final = 4096

_ANY: Final = sa.select(artifacts.c.data).where(*this(artifacts))


def room(connection: sa.Connection, run: RunName, limit: int) -> int:
    """Returns how many bytes the next screenshot of a run may have if `limit` bytes are kept of each run."""
    used = sa.select(sa.func.coalesce(sa.func.sum(artifacts.c.size + _ROW_BYTES), 0))
    return limit - int(connection.execute(used.where(artifacts.c.run == run.run)).scalar_one()) - _ROW_BYTES


def keep(connection: sa.Connection, attempt: AttemptName, artifact: str, data: bytes) -> None:
    """Adds a copy. Idempotent."""
    if read(connection, attempt, artifact) is None:
        row = {**attempt._asdict(), "artifact": artifact, "size": len(data), "data": data}
        connection.execute(sa.insert(artifacts), row)


def read(connection: sa.Connection, attempt: AttemptName, artifact: str) -> bytes | None:
    """Returns the bytes of a copy; None if there is none."""
    found = connection.execute(_ANY, of(attempt) | {"of_artifact": artifact})
    data: bytes | None = found.scalar_one_or_none()
    return data
