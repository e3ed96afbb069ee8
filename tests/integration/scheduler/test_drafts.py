"""Drafts: runs in which an agent hands over a plan."""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from heddle import errors, pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, scheduling, serving_fake

GOOD = """\
name: Search
defaults: {agent: "command:do-it"}
epics:
  - key: api
    touches: ["api/**"]
    tasks:
      - {key: route, estimate: 10m, checks: [make test], prompt: Add it., source: "spec.md#Search"}
"""
# Valid, but its task has no check.
UNCHECKED = GOOD.replace("checks: [make test], ", "")
BAD = GOOD.replace("prompt", "promt")


class Agent:
    """Says one answer after the other, each in a session of its own."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []

    async def __call__(self, session: FakeSession) -> pb.SessionFinished:
        self.prompts.append(session.request.prompt)
        session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDERR, text="epics: [] # not a plan"))
        session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=self.answers.pop(0)))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


async def drafted(scheduler: Scheduler, **fields: Any) -> str:
    request = pb.DraftPlanRequest(goal="Add a search", project="/repository", agent="command:plan-it")
    request.MergeFrom(pb.DraftPlanRequest(**fields))
    run = (await scheduler.api.DraftPlan(request)).run
    assert run.draft
    return run.name


async def draft_of(scheduler: Scheduler, run: str) -> pb.Draft:
    return (await scheduler.api.GetDraft(pb.GetDraftRequest(name=run))).draft


def messages(remarks: Sequence[pb.PlanRemark]) -> str:
    return "\n".join(each.message for each in remarks)


async def test_errors_of_a_plan_go_back_to_its_agent(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The next attempt resumes the session with the errors; the valid plan is stored, and nothing is committed."""
    worker.play = agent = Agent(BAD, f"Because.\n```yaml\n{GOOD}```\n")
    run = await drafted(scheduler, sources=[pb.DraftSource(name="spec.md", text="# Search\nFast.")])
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    draft = await draft_of(scheduler, run)
    assert draft.text == GOOD
    assert draft.reasons == "Because."
    assert draft.handovers == 2
    assert draft.attempt.endswith("/attempts/2")
    assert draft.plan.epics[0].tasks[0].source == "spec.md#Search"
    assert not draft.problems
    assert not draft.warnings
    first, second = agent.prompts
    assert "Add a search" in first
    assert "# Search\nFast." in first
    assert second.startswith(first.rstrip())
    assert "line 7: epics[0].tasks[0].promt: unknown key, did you mean prompt?" in second
    assert BAD in second, "a command does not remember its last answer"
    sessions = worker.called("StartSession")
    assert sessions[1].resume_attempt == sessions[0].attempt
    assert sessions[0].permissions.deny == ["Edit"]
    assert not worker.called("CommitTask")
    assert len(worker.called("DiscardAttempt")) == 2
    assert not worker.called("MergeBranch")
    (task,) = (await scheduler.tasks(run)).values()
    assert (task.state, task.commit) == (pb.TASK_STATE_ACCEPTED, "")


async def test_warnings_go_back_once(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A plan with only warnings is accepted if the agent leaves it so, and if it breaks it, the valid one counts."""
    worker.play = Agent(UNCHECKED, UNCHECKED)
    run = await drafted(scheduler)
    await scheduler.finished(run)
    draft = await draft_of(scheduler, run)
    assert (draft.handovers, draft.HasField("plan")) == (2, True)
    assert "has no check" in messages(draft.warnings)
    worker.play = Agent(UNCHECKED, BAD)
    run = await drafted(scheduler, rounds=1)
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    draft = await draft_of(scheduler, run)
    assert (draft.text, draft.handovers) == (UNCHECKED, 2)
    worker.play = Agent(UNCHECKED)
    run = await drafted(scheduler, rounds=0, budget_usd_micros=1_000_000)
    assert (await scheduler.finished(run))[-1].run_finished.tasks_accepted == 1
    assert (await scheduler.run(run)).budget_usd_micros == 1_000_000


async def test_a_draft_without_a_valid_plan_fails(worker: FakeWorker, scheduler: Scheduler) -> None:
    """After all rounds, its last text and errors can be read; another attempt can be asked for."""
    two = f"```yaml\n{GOOD}```\nor\n```yaml\n{UNCHECKED}```"
    other = GOOD.replace("command:do-it", "codex")
    worker.play = agent = Agent("I would rather not.", two, f"```yaml\n{GOOD}", other)
    run = await drafted(scheduler)
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_FAILED
    assert "the answer has no plan" in agent.prompts[1]
    assert "I would rather not." in agent.prompts[1]
    assert "2 different plans" in agent.prompts[2]
    assert "its block is not closed" in agent.prompts[3]
    draft = await draft_of(scheduler, run)
    assert draft.text == other
    assert not draft.HasField("plan")
    assert "cannot start agent 'codex'" in messages(draft.problems)
    assert draft.problems[0].line == 2
    task = (await scheduler.tasks(run))["draft/plan"]
    assert task.reason.startswith("no valid plan: line 2: defaults.agent: the worker cannot start agent")
    worker.play = Agent(GOOD)
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=task.name))
    await scheduler.finished(run, after=events[-1].sequence)
    assert (await draft_of(scheduler, run)).text == GOOD


async def test_what_a_draft_does_not_allow(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Bad requests name their field; a draft's own plan cannot be changed or run again; a draft can be cancelled."""

    async def refusal(call: Awaitable[object]) -> errors.HeddleError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        found = errors.from_rpc(caught.value)
        assert found is not None
        return found

    async def asked(**fields: Any) -> str:
        given: dict[str, Any] = {"goal": "g", "project": "/repository", "agent": "command:x"}
        request = pb.DraftPlanRequest(**(given | fields))
        return (await refusal(scheduler.api.DraftPlan(request))).message

    assert "goal" in await asked(goal=" ")
    assert "128,000 are allowed" in await asked(sources=[pb.DraftSource(name="big.md", text="x" * 128_001)])
    assert "name the agent" in await asked(agent="")
    assert "from 0 to 20" in await asked(rounds=21)
    assert "cannot start agent 'codex'" in await asked(agent="codex")

    async def never(session: FakeSession) -> pb.SessionFinished:
        await session.stopping.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_STOPPED)

    worker.play = never
    run = await drafted(scheduler, request_id="one")
    assert await drafted(scheduler, request_id="one") == run
    started = (await scheduler.until(run, lambda event: event.HasField("session_started")))[-1]
    assert started.HasField("session_started")
    assert await draft_of(scheduler, run) == pb.Draft()
    plan = (await scheduler.api.GetPlan(pb.GetPlanRequest(name=run))).plan
    applied = scheduler.api.ApplyPlan(pb.ApplyPlanRequest(name=run, plan=plan))
    again = scheduler.api.CreateRun(pb.CreateRunRequest(again=run))
    added = scheduler.api.AddTask(
        pb.AddTaskRequest(parent=f"{run}/epics/draft", task=pb.PlanTask(prompt="More"))
    )
    task = f"{run}/epics/draft/tasks/plan"
    rewound = scheduler.api.RetryTask(pb.RetryTaskRequest(name=task, from_here=True))
    for call in (applied, again, added, rewound):
        assert "is a draft of a plan" in (await refusal(call)).message
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    assert (await scheduler.run(run)).state == pb.RUN_STATE_CANCELLED
    ordinary = await scheduler.create(pb.Plan(name="p", epics=plan.epics))
    assert not (await scheduler.run(ordinary)).draft
    missing = await refusal(scheduler.api.GetDraft(pb.GetDraftRequest(name=ordinary)))
    assert missing.code is grpc.StatusCode.NOT_FOUND


async def test_a_draft_outlives_its_scheduler(worker: FakeWorker, tmp_path: Path) -> None:
    """A session that ends while no scheduler runs hands over its plan to the next one; rounds that were used stay used."""
    agent = Agent(BAD, GOOD)
    paused = False

    async def play(session: FakeSession) -> pb.SessionFinished:
        nonlocal paused
        if len(agent.prompts) == 1:
            paused = True
            await gone.wait()
        return await agent(session)

    gone = asyncio.Event()
    worker.play = play
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path) as first:
            run = await drafted(first, rounds=1)
            await first.until(run, lambda event: event.attempt == 2 and event.HasField("session_started"))
        gone.set()
        async with scheduling(address, tmp_path) as second:
            events = await second.finished(run)
            assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
            assert (await draft_of(second, run)).text == GOOD
    assert paused
