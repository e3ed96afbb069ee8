"""Caches the forecasts of runs; an estimate may be a few seconds old."""

import asyncio
import time
from typing import Final, TypeAlias

from heddle import errors, pb
from heddle.client import ENDED_RUN, HeddleClient, ServerUnreachable
from ui_svc import views
from ui_svc.views import View

# Seconds for which a forecast is valid, unless a task ends in the meantime.
FRESH: Final = 10.0

# The state that a forecast depends on, apart from time.
_Stand: TypeAlias = tuple[int, ...]


class Forecasts:
    """The newest forecast of each active run."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client
        # By run: the state and time of the request, and the answer.
        self._known: dict[str, tuple[_Stand, float, View]] = {}

    async def of(self, run: pb.Run) -> View | None:
        """Returns the forecast, with `at` as its time in milliseconds; None for an ended run."""
        if run.state in ENDED_RUN:
            self._known.pop(run.name, None)
            return None
        state = (run.state, run.max_parallel, *views.counts(run.tasks).values())
        now = asyncio.get_running_loop().time()
        known = self._known.get(run.name)
        if known is not None and known[0] == state and now - known[1] < FRESH:
            return known[2]
        try:
            view = views.forecast(await self._client.forecast_run(run.name)) | {
                "at": round(time.time() * 1000)
            }
        except (errors.HeddleError, ServerUnreachable):
            # The watch reports the problem, and the run is shown without a forecast.
            return known[2] if known else None
        self._known[run.name] = (state, now, view)
        return view
