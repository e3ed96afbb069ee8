"""Budgets of runs, epics, tasks and projects, over the API."""

import asyncio
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake


def paused(event: pb.Event) -> bool:
    return event.HasField("run_paused")


async def spend(session: FakeSession) -> pb.SessionFinished:
    """Reports three cents; the first attempt then works without end."""
    session.emit(usage=pb.Usage(model="small", cost_usd_micros=30_000))
    if session.name.number == 1:
        await asyncio.Event().wait()
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


async def hold(_session: FakeSession) -> pb.SessionFinished:
    """Runs until it is stopped."""
    await asyncio.Event().wait()
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


async def test_a_run_at_its_budget_is_paused_and_goes_on_with_another(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The session is stopped and kept, the run waits for the operator, and the task uses no retry."""
    worker.play = spend
    plan = make_plan({"a": ["one"]})
    plan.budget_usd_micros = 30_000
    run = await scheduler.create(plan)

    events = await scheduler.until(run, lambda event: event.HasField("task_failed"))

    held = await scheduler.run(run)
    assert held.state == pb.RUN_STATE_PAUSED
    assert held.budget_usd_micros == 30_000
    assert f"heddle resume {run.removeprefix('runs/')} --budget-usd 0.06" in held.reason
    [reached] = [event.budget_reached for event in events if event.HasField("budget_reached")]
    assert reached == pb.BudgetReached(
        budget_usd_micros=30_000, spent_usd_micros=30_000, level=pb.BUDGET_LEVEL_RUN
    )
    failed = events[-1].task_failed
    assert failed.will_retry
    assert failed.kept_ref.endswith("/a/one/1")
    assert (await scheduler.tasks(run))["a/one"].state == pb.TASK_STATE_PENDING

    request = pb.ResumeRunRequest(name=run, budget_usd_micros=1_000_000)
    resumed = (await scheduler.api.ResumeRun(request)).run
    assert (resumed.budget_usd_micros, resumed.reason) == (1_000_000, "")
    events = await scheduler.finished(run)
    assert [e.run_resumed.budget_usd_micros for e in events if e.HasField("run_resumed")] == [1_000_000]
    ended = await scheduler.run(run)
    assert ended.state == pb.RUN_STATE_SUCCEEDED
    assert ended.usage.cost_usd_micros == 60_000


async def test_sessions_are_told_what_is_left(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A session's budget is what remains of the tightest budget above it; without budgets there is no limit."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(usage=pb.Usage(model="small", cost_usd_micros=30_000))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one", "two"], "b": ["one"]})
    plan.epics[0].budget_usd_micros = 50_000
    plan.epics[0].tasks[0].budget_usd_micros = 40_000
    await scheduler.finished(await scheduler.create(plan))

    left = {
        request.attempt.partition("/epics/")[2]: request.budget_usd_micros
        for request in worker.called("StartSession")
        if request.HasField("budget_usd_micros")
    }
    assert left == {"a/tasks/one/attempts/1": 40_000, "a/tasks/two/attempts/1": 20_000}


async def test_a_task_at_its_budget_holds_its_epic_and_no_other(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The other epic is merged meanwhile; only then is the run paused, and another budget lets the epic continue."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(usage=pb.Usage(model="small", cost_usd_micros=30_000))
        over = session.name.epic == "a" and session.name.number == 1
        # An agent that stops itself at its budget is treated like one that was stopped.
        return pb.SessionFinished(outcome=pb.OUTCOME_OVER_BUDGET if over else pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"]})
    plan.epics[0].tasks[0].budget_usd_micros = 20_000
    run = await scheduler.create(plan, max_parallel=1)

    events = await scheduler.until(run, paused)

    assert [event.task for event in events if event.HasField("budget_reached")] == ["one"]
    assert [event.epic for event in events if event.HasField("merge_finished")] == ["b"]
    held = await scheduler.run(run)
    assert "task a/one" in held.reason
    assert (await scheduler.tasks(run))["a/one"].state == pb.TASK_STATE_PENDING
    name = f"{run}/epics/a/tasks/one"
    [hold] = [
        epic.budget_hold for epic in (await scheduler.epics(run)).values() if epic.HasField("budget_hold")
    ]
    assert (hold.name, hold.budget_usd_micros, hold.spent_usd_micros) == (name, 20_000, 30_000)
    assert hold.reason in held.reason

    request = pb.ResumeRunRequest(name=run, budget_of=name, budget_usd_micros=90_000)
    await scheduler.api.ResumeRun(request)
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert not any(epic.HasField("budget_hold") for epic in (await scheduler.epics(run)).values())


async def test_a_new_budget_for_an_epic_is_checked(scheduler: Scheduler) -> None:
    """A budget of 0, or for an epic of another run or a missing epic, is refused, and the run is unchanged."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    held = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=held))

    for fields, code in (
        ({"budget_usd_micros": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"budget_of": f"{held}/epics/a"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"budget_usd_micros": 5, "budget_of": f"{run}/epics/a"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"budget_usd_micros": 5, "budget_of": f"{held}/epics/nope"}, grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=held, **fields))
        assert caught.value.code() == code


async def test_a_project_has_a_budget_over_all_of_its_runs(worker: FakeWorker, tmp_path: Path) -> None:
    """If an ended run has used up the project's budget, the next run on the repository does not start."""
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, environ={"HEDDLE_PROJECT_BUDGET_USD": "0.05"}) as scheduler,
    ):

        async def play(session: FakeSession) -> pb.SessionFinished:
            session.emit(usage=pb.Usage(model="small", cost_usd_micros=50_000))
            return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

        worker.play = play
        first = await scheduler.create(make_plan({"a": ["one"]}))
        assert (await scheduler.finished(first))[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED

        second = await scheduler.create(make_plan({"a": ["one"]}))
        events = await scheduler.until(second, paused)

        assert "HEDDLE_PROJECT_BUDGET_USD" in events[-1].run_paused.reason
        assert not [event for event in events if event.HasField("task_started")]


async def test_a_budget_is_reserved_before_a_task_starts(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Concurrent sessions get separate shares; the unspent part is reserved until the session ends."""
    both = asyncio.Barrier(3)
    go_on = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(usage=pb.Usage(model="small", cost_usd_micros=10_000))
        if session.name.epic != "c":
            await both.wait()
            await go_on.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"], "c": ["one"]})
    plan.budget_usd_micros = 100_000
    run = await scheduler.create(plan, max_parallel=2)
    await both.wait()

    async def costs() -> pb.ListCostsResponse:
        return await scheduler.api.ListCosts(pb.ListCostsRequest(parent=run))

    async def spent() -> bool:
        return (await costs()).total.usage.cost_usd_micros == 20_000

    await eventually(spent)
    told = await costs()
    assert told.total.reserved_usd_micros == 80_000
    assert [cost.reserved_usd_micros for cost in told.costs] == [40_000, 40_000, 0]
    request = pb.ListCostsRequest(parent=f"{run}/epics/a/tasks/one")
    [session] = (await scheduler.api.ListCosts(request)).costs
    assert (session.budget_usd_micros, session.reserved_usd_micros) == (50_000, 40_000)

    go_on.set()
    await scheduler.finished(run)
    shares = [request.budget_usd_micros for request in worker.called("StartSession")]
    assert shares[:2] == [50_000, 50_000]
    assert 40_000 <= shares[2] <= 80_000
    assert (await costs()).total.reserved_usd_micros == 0


async def test_a_session_at_its_share_goes_on_with_what_is_free(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """An agent that stops at its share while budget is left continues its session, with its files."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(usage=pb.Usage(model="small", cost_usd_micros=30_000))
        over = session.name.number == 1 and session.name.epic == "a"
        return pb.SessionFinished(outcome=pb.OUTCOME_OVER_BUDGET if over else pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"]})
    plan.budget_usd_micros = 100_000
    run = await scheduler.create(plan, max_parallel=2)
    await scheduler.finished(run)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    [second] = [
        each for each in worker.called("StartSession") if each.attempt.endswith("/a/tasks/one/attempts/2")
    ]
    assert second.resume_attempt.endswith("/attempts/1")
    assert second.files_kept
    assert not worker.called("DiscardAttempt")


async def test_an_agent_that_no_budget_could_stop_needs_a_limit(worker: FakeWorker, tmp_path: Path) -> None:
    """With a budget at any level, a task whose agent reports no live costs must have a limit."""
    worker.programs = ("scripted", "claude", "command:")
    worker.late_programs = ("claude", "command:")
    worker.turn_limited_programs = ("claude",)
    plan = make_plan({"a": ["one", "two"]}, agent="claude")
    plan.epics[0].tasks[1].agent = "scripted"

    async def refused(scheduler: Scheduler, plan: pb.Plan, **fields: str) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scheduler.create(plan, validate_only=True, **fields)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        return caught.value.details() or ""

    async def accepted(scheduler: Scheduler, plan: pb.Plan, **fields: str) -> None:
        await scheduler.create(plan, validate_only=True, **fields)

    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, environ={"HEDDLE_PROJECT_BUDGET_USD": "0.05"}) as scheduler,
    ):
        assert "HEDDLE_PROJECT_BUDGET_USD cannot stop" in await refused(scheduler, plan)

    async with serving_fake(worker) as address, scheduling(address, tmp_path / "other") as scheduler:
        await accepted(scheduler, plan)
        plan.epics[0].budget_usd_micros = 5
        told = await refused(scheduler, plan)
        assert "epics[0].tasks[0].timeout" in told
        assert "'claude' does not report" in told
        assert "budget_usd of epic a cannot stop" in told
        assert "`timeout` or `max_turns`" in told
        # The agent that replaces the plan's agent is checked.
        await accepted(scheduler, plan, agent="scripted")
        assert "'command:make'" in await refused(scheduler, plan, agent="command:make")
        plan.epics[0].tasks[0].max_turns = 5
        await accepted(scheduler, plan)
        # A command counts no turns.
        assert "`timeout`," in await refused(scheduler, plan, agent="command:make")
        plan.defaults.timeout.FromSeconds(60)
        await accepted(scheduler, plan, agent="command:make")

        # The same applies to a task that is added later.
        plan.defaults.ClearField("timeout")
        plan.epics[0].tasks[0].agent = "scripted"
        run = await scheduler.create(plan)
        asked = pb.PlanTask(prompt="And this", agent="command:make")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scheduler.api.AddTask(pb.AddTaskRequest(parent=f"{run}/epics/a", task=asked))
        assert "task.timeout" in (caught.value.details() or "")
        # It also applies to an agent that replaces another, and to a budget that is set later.
        retry = pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/one", agent="command:make")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scheduler.api.RetryTask(retry)
        assert "no budget could stop it" in (caught.value.details() or "")
        worker.play = hold
        free = make_plan({"a": ["one"]}, agent="command:make")
        run = await scheduler.create(free)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run, budget_usd_micros=5))
        assert f"{run}/epics/a/tasks/one has no timeout" in (caught.value.details() or "")
        await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))


async def test_a_session_stopped_at_its_part_waits_for_a_larger_one(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """Its task is not tried again with as small a part next to others, and uses no retry; the same holds for a review."""
    told, go_on = asyncio.Event(), asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.epic == "b":
            await told.wait()
            # A report has the scheduler decide again while this session shares the budget.
            session.emit(usage=pb.Usage(model="small", cost_usd_micros=1_000))
            await go_on.wait()
        elif session.request.agent == "command:review":
            # The first review exceeds its part, and the second one passes the work.
            first = session.name.number == 2
            session.emit(usage=pb.Usage(model="small", cost_usd_micros=40_000 if first else 1_000))
            await (asyncio.Event().wait() if first else asyncio.sleep(0))
            session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text='{"findings": []}'))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"]})
    plan.budget_usd_micros = 100_000
    task = plan.epics[0].tasks[0]
    task.retries = 0
    task.timeout.FromSeconds(300)
    task.reviews.add(agent="command:review")
    run = await scheduler.create(plan, max_parallel=2)
    events = await scheduler.until(run, lambda event: event.HasField("task_failed"))
    assert "runs again with a larger part" in events[-1].task_failed.reason
    assert events[-1].task_failed.will_retry
    told.set()

    async def reported() -> bool:
        return (await scheduler.run(run)).usage.cost_usd_micros == 41_000

    await eventually(reported)
    go_on.set()
    events = await scheduler.finished(run)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    again = next(place for place, event in enumerate(events) if (event.epic, event.attempt) == ("a", 3))
    accepted = [
        place for place, event in enumerate(events) if event.epic == "b" and event.HasField("task_accepted")
    ]
    assert accepted[0] < again
    assert (await scheduler.tasks(run))["a/one"].attempt_count == 3
