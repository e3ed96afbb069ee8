"""How often the forecast of a run is requested."""

from typing import Any, cast

from heddle import errors, pb
from heddle.client import HeddleClient
from ui_svc.feeds.eta import Forecasts


class Scheduler:
    """Counts its requests, and refuses them if set to."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def forecast_run(self, name: str) -> pb.Forecast:
        self.asked += 1
        if self.away:
            raise errors.not_found(name)
        forecast = pb.Forecast(measured_tasks=self.asked)
        forecast.remaining.FromSeconds(60)
        return forecast


def a_run(**fields: Any) -> pb.Run:
    return pb.Run(name="runs/r", **({"state": pb.RUN_STATE_RUNNING} | fields))


async def test_a_forecast_is_asked_again_only_when_a_task_or_the_limit_has_changed() -> None:
    """Until then the previous forecast is returned."""
    scheduler = Scheduler()
    forecasts = Forecasts(cast(HeddleClient, scheduler))
    first = await forecasts.of(a_run())
    assert first is not None
    assert (first["remaining"], first["measured"]) == (60, 1)
    assert await forecasts.of(a_run(sequence=9)) == first
    assert (await forecasts.of(a_run(tasks=pb.TaskCounts(accepted=1))) or {})["measured"] == 2
    assert (await forecasts.of(a_run(tasks=pb.TaskCounts(accepted=1), max_parallel=2)) or {})["measured"] == 3


async def test_a_run_that_ended_has_none_and_one_that_cannot_be_asked_keeps_its_last() -> None:
    """A failed forecast does not prevent a run from being shown."""
    scheduler = Scheduler()
    forecasts = Forecasts(cast(HeddleClient, scheduler))
    first = await forecasts.of(a_run())
    scheduler.away = True
    assert await forecasts.of(a_run(max_parallel=2)) == first
    assert await forecasts.of(a_run(state=pb.RUN_STATE_SUCCEEDED)) is None
    assert await forecasts.of(a_run()) is None
