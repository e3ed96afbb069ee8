"""Stores the newest forecast of each run."""

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.store.db.tables import forecasts


def read_forecast(connection: sa.Connection, run: str) -> pb.ConflictForecast:
    """Returns the newest forecast of the run; an empty one if there is none yet."""
    chosen = sa.select(forecasts.c.forecast).where(forecasts.c.run == run)
    return pb.ConflictForecast.FromString(connection.execute(chosen).scalar_one_or_none() or b"")


def write_forecast(connection: sa.Connection, run: str, forecast: pb.ConflictForecast) -> None:
    """Replaces the stored forecast of the run."""
    data = forecast.SerializeToString()
    change = sa.update(forecasts).where(forecasts.c.run == run).values(forecast=data)
    if not connection.execute(change).rowcount:
        connection.execute(sa.insert(forecasts), {"run": run, "forecast": data})
