"""What is left of runs, asked for now and then: a guess need not be newer than a few seconds."""

import asyncio
import time
from typing import Final, TypeAlias

from heddle import errors, pb
from heddle.client import ENDED_RUN, HeddleClient, ServerUnreachable
from ui_svc import views
from ui_svc.views import View

# Seconds for which a forecast is good, unless a task has ended meanwhile.
FRESH: Final = 10.0

# What a forecast depends on, besides time.
_Stand: TypeAlias = tuple[int, ...]


class Forecasts:
    """The newest forecast of each run that goes on."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client
        # By run: what its tasks were, when it was asked, and what was said.
        self._known: dict[str, tuple[_Stand, float, View]] = {}

    async def of(self, run: pb.Run) -> View | None:
        """Returns what is left, with `at` as the time in milliseconds when it was told; None of an ended run."""
        if run.state in ENDED_RUN:
            self._known.pop(run.name, None)
            return None
        stand = (run.state, run.max_parallel, *views.counts(run.tasks).values())
        now = asyncio.get_running_loop().time()
        known = self._known.get(run.name)
        if known is not None and known[0] == stand and now - known[1] < FRESH:
            return known[2]
        try:
            view = views.forecast(await self._client.forecast_run(run.name)) | {
                "at": round(time.time() * 1000)
            }
        except (errors.HeddleError, ServerUnreachable):
            # The watch tells what is wrong; without a forecast the run is shown all the same.
            return known[2] if known else None
        self._known[run.name] = (stand, now, view)
        return view
