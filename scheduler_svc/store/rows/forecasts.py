"""Stores the newest forecast of each run."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.plan_tables import forecasts
from scheduler_svc.store.db.statements import this

# The newest forecast of a run, serialized; no row if there is none yet.
FORECAST: Final = sa.select(forecasts.c.forecast).where(*this(forecasts))

_REPLACE: Final = sa.text(
    "INSERT INTO forecasts (run, forecast) VALUES (:run, :forecast)"
    " ON CONFLICT (run) DO UPDATE SET forecast = excluded.forecast"
)


def read_forecast(connection: sa.Connection, run: str) -> pb.ConflictForecast:
    """Returns the newest forecast of the run; an empty one if there is none yet."""
    return forecast_of(connection.execute(FORECAST, {"of_run": run}).all())


def forecast_of(rows: Sequence[Any]) -> pb.ConflictForecast:
    """Returns the forecast in the rows of FORECAST; an empty one if there is none."""
    return pb.ConflictForecast.FromString(rows[0].forecast if rows else b"")


def write_forecast(connection: sa.Connection, run: str, forecast: pb.ConflictForecast) -> None:
    """Replaces the stored forecast of the run."""
    pipeline.later(connection, _REPLACE, {"run": run, "forecast": forecast.SerializeToString()})
