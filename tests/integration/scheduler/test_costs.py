"""Costs of every level, over the API."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake


async def spend(session: FakeSession) -> pb.SessionFinished:
    """Uses a model with a known price and, in epic b, one without; b/one fails once."""
    session.emit(usage=pb.Usage(model="large", input_tokens=100, output_tokens=7, cost_usd_micros=20_000))
    if session.name.epic == "b":
        session.emit(usage=pb.Usage(model="odd", output_tokens=5))
        session.emit(usage=pb.Usage(model="small", cache_read_tokens=9, cost_usd_micros=500, estimated=True))
        if session.name.number == 1:
            return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="bad luck")
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def known(usage: pb.UsageTotals) -> tuple[int, int, bool]:
    """Returns the micros, how many of them are estimates, and whether more was spent than is known."""
    return usage.cost_usd_micros, usage.estimated_usd_micros, usage.cost_incomplete


async def test_costs_add_up_at_every_level_and_by_model(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """Tasks, epics, runs and projects have the sum of the costs below them, and their budgets."""
    worker.play = spend
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, environ={"HEDDLE_PROJECT_BUDGET_USD": "5"}) as scheduler,
    ):

        async def listed(parent: str, **paging: Any) -> pb.ListCostsResponse:
            return await scheduler.api.ListCosts(pb.ListCostsRequest(parent=parent, **paging))

        plan = make_plan({"a": ["one", "two"], "b": ["one"]}, retries=1)
        plan.budget_usd_micros = 2_000_000
        plan.epics[1].budget_usd_micros = 1_000_000
        first = await scheduler.create(plan)
        await scheduler.finished(first)
        second = await scheduler.create(make_plan({"a": ["one"]}))
        await scheduler.finished(second)

        [project] = (await listed("")).costs
        assert (project.name, project.budget_usd_micros) == ("/repository", 5_000_000)
        assert known(project.usage) == (101_000, 1_000, True)
        runs = await listed("/repository")
        assert [cost.name for cost in runs.costs] == [second, first]
        assert (runs.total.name, runs.total.usage) == ("/repository", project.usage)
        assert (runs.costs[1].title, runs.costs[1].budget_usd_micros) == ("Sample plan", 2_000_000)
        assert not runs.costs[0].HasField("budget_usd_micros")
        assert known(runs.costs[0].usage) == (20_000, 0, False)
        assert (await listed("-")).costs == runs.costs

        epics = await listed(first)
        assert [cost.name for cost in epics.costs] == [f"{first}/epics/a", f"{first}/epics/b"]
        assert epics.total == runs.costs[1]
        assert known(epics.costs[1].usage) == (41_000, 1_000, True)
        assert epics.costs[1].budget_usd_micros == 1_000_000
        by_model = {each.model: each.usage for each in epics.costs[1].usage.models}
        assert known(by_model["odd"]) == (0, 0, True)
        assert known(by_model["small"]) == (1_000, 1_000, False)
        assert (by_model["large"].input_tokens, by_model["large"].output_tokens) == (200, 14)

        tasks = await listed(f"{first}/epics/-")
        assert [cost.name.rpartition("/epics/")[2] for cost in tasks.costs] == [
            "a/tasks/one",
            "a/tasks/two",
            "b/tasks/one",
        ]
        assert (await listed(f"{first}/epics/a")).costs == tasks.costs[:2]
        sessions = await listed(f"{first}/epics/b/tasks/one")
        assert [cost.name[-1] for cost in sessions.costs] == ["1", "2"]
        assert {cost.agent for cost in sessions.costs} == {"scripted"}
        assert [known(cost.usage) for cost in sessions.costs] == [(20_500, 500, True)] * 2
        assert sessions.total.usage == tasks.costs[2].usage
        everything = await listed(f"{first}/epics/-/tasks/-")
        assert len(everything.costs) == 4
        assert everything.total == epics.total

        for parent in ("-", first, f"{first}/epics/-", f"{first}/epics/-/tasks/-"):
            whole = await listed(parent)
            pages: list[pb.ListCostsResponse] = []
            token = ""
            while token or not pages:
                pages.append(await listed(parent, page_size=1, page_token=token))
                token = pages[-1].next_page_token
            assert [cost for page in pages for cost in page.costs] == list(whole.costs)
            assert {page.total.usage.cost_usd_micros for page in pages} == {whole.total.usage.cost_usd_micros}


async def test_costs_are_summed_by_day_person_and_agent(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Charts get the cost and sessions of each day, person, agent and project; another project has none."""
    worker.play = spend
    await scheduler.finished(await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}, retries=1)))
    daily = (await scheduler.api.ListDailyCosts(pb.ListDailyCostsRequest(days=2))).costs
    # The test may run at midnight, and then the sessions are of two days.
    assert sum(each.cost_usd_micros for each in daily) == 61_000
    assert sum(each.sessions for each in daily) == 3
    assert {(each.user, each.agent, each.project) for each in daily} == {
        ("user:ada", "scripted", "/repository")
    }
    request = pb.ListDailyCostsRequest(project="/elsewhere")
    assert not (await scheduler.api.ListDailyCosts(request)).costs
    with pytest.raises(grpc.aio.AioRpcError, match="from 1 to 366"):
        await scheduler.api.ListDailyCosts(pb.ListDailyCostsRequest(days=400))


@pytest.mark.parametrize(
    ("parent", "code"),
    [
        ("/nowhere", grpc.StatusCode.NOT_FOUND),
        ("runs/nope", grpc.StatusCode.NOT_FOUND),
        ("runs/nope/epics/-", grpc.StatusCode.NOT_FOUND),
        ("runs/nope/epics/a/tasks/one", grpc.StatusCode.NOT_FOUND),
        ("runs/r/tasks", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_costs_of_nothing_are_refused(scheduler: Scheduler, parent: str, code: grpc.StatusCode) -> None:
    """A request for the costs of a missing resource is refused, not answered with zero."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scheduler.api.ListCosts(pb.ListCostsRequest(parent=parent))
    assert caught.value.code() == code
