"""Which agents their providers want to be left alone, and until when."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.store.tables import holds

# Seconds, where a provider does not say how long.
_UNSAID: Final = 60
_LONGEST: Final = 24 * 3600

_MICROS: Final = 1_000_000


def hold(connection: sa.Connection, agent: str, ended: pb.SessionFinished, now: int) -> int:
    """Notes that `agent` starts nothing for as long as `ended` says; returns until when, in microseconds.

    A longer hold that is there already stays.
    """
    said = ended.retry_after.ToNanoseconds() / 1e9 if ended.HasField("retry_after") else _UNSAID
    until = now + round(min(max(said, 1), _LONGEST) * _MICROS)
    row = connection.execute(sa.select(holds.c.until).where(holds.c.agent == agent)).one_or_none()
    if row is None:
        connection.execute(sa.insert(holds), {"agent": agent, "until": until})
        return until
    until = max(int(row.until), until)
    connection.execute(sa.update(holds).where(holds.c.agent == agent).values(until=until))
    return until


def held_agents(connection: sa.Connection, now: int) -> frozenset[str]:
    """Returns the agents that start nothing now."""
    return frozenset(connection.execute(sa.select(holds.c.agent).where(holds.c.until > now)).scalars())


def limited_until(until: int) -> str:
    """Returns the reason of a task that waits for its provider."""
    time = datetime.fromtimestamp(until / _MICROS, UTC)
    return f"rate-limited until {time:%H:%M} UTC"
