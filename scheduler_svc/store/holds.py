"""Which providers want to be left alone, and until when."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.store.tables import holds

# Seconds, where a provider does not say how long: the first time, and doubled each time at most up to the last.
_FIRST: Final = 60
_LAST: Final = 30 * 60
# The longest that a provider may ask for.
_LONGEST: Final = 24 * 3600
# A provider that was well for so long begins with the first again.
_FORGIVEN: Final = 10 * 60

_MICROS: Final = 1_000_000


def hold(connection: sa.Connection, provider: str, ended: pb.SessionFinished, now: int) -> int:
    """Notes that agents of `provider` start nothing for as long as `ended` says; returns until when, in microseconds.

    A longer hold that is there already stays. Sessions that meet the same limit side
    by side count as one.
    """
    row = connection.execute(sa.select(holds).where(holds.c.provider == provider)).one_or_none()
    repeats = 0
    if row is not None and now - row.until <= _FORGIVEN * _MICROS:
        repeats = row.repeats + (now >= row.until)
    if ended.HasField("retry_after"):
        seconds = min(max(ended.retry_after.ToNanoseconds() / 1e9, 1), _LONGEST)
    else:
        seconds = min(_FIRST * 2**repeats, _LAST)
    until = now + round(seconds * _MICROS)
    if row is None:
        connection.execute(sa.insert(holds), {"provider": provider, "until": until, "repeats": 0})
        return until
    until = max(int(row.until), until)
    change = sa.update(holds).where(holds.c.provider == provider)
    connection.execute(change.values(until=until, repeats=repeats))
    return until


def held_providers(connection: sa.Connection, now: int) -> frozenset[str]:
    """Returns the providers whose agents start nothing now."""
    return frozenset(connection.execute(sa.select(holds.c.provider).where(holds.c.until > now)).scalars())


def limited_until(until: int) -> str:
    """Returns the reason of a task that waits for its provider."""
    time = datetime.fromtimestamp(until / _MICROS, UTC)
    return f"rate-limited until {time:%H:%M} UTC"
