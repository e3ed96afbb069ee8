"""A budget with real services and real agent processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from heddle.plan.file import parse
from tests.support.claude import environment
from tests.support.commands import running
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.turns import Call, Turn
from tests.support.programs import need_package
from tests.support.repositories import make_repository

TURN = 30_000
BUDGET = 50_000

# Twenty turns of three cents each; every turn takes some time.
SCRIPTED = f"""
name: Dear
budget_usd: {BUDGET / 1e6}
epics:
  - key: a
    tasks:
      - key: one
        script:
          - write: {{path: kept.txt, text: work}}
{
    '''          - usage: {model: small, output_tokens: 10, cost_usd: 0.03}
          - wait: 2s
'''
    * 20
}"""


async def until(client: HeddleClient, run: str, done: Callable[[pb.Event], bool]) -> pb.Event:
    async with asyncio.timeout(60):
        async for response in client.watch_run(run):
            for event in response.events:
                if done(event):
                    return event
    raise AssertionError("the run ended without that event")


@pytest.mark.timeout(180)
async def test_five_cents_stop_a_run_within_one_turn(tmp_path: Path) -> None:
    """At its budget a run pauses and keeps its work; the command in its reason resumes it."""
    repository = make_repository(tmp_path / "repository")
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        request = pb.CreateRunRequest(plan=parse(SCRIPTED, "plan.yaml").plan, project=str(repository))
        run = await client.create_run(request)

        failed = await until(client, run.name, lambda event: event.HasField("task_failed"))

        held = await client.get_run(run.name)
        assert held.state == pb.RUN_STATE_PAUSED
        assert BUDGET <= held.usage.cost_usd_micros <= BUDGET + TURN
        assert failed.task_failed.kept_ref
        key = run.name.removeprefix("runs/")
        advice = f"heddle resume {key} --budget-usd"
        assert advice in held.reason

        async with running("resume", key, "--budget-usd", "5", env=fleet.environment) as command:
            assert await command.exit_code() == 0, command.err

        await until(client, run.name, lambda e: e.HasField("session_started") and e.attempt == 2)
        assert (await client.get_run(run.name)).budget_usd_micros == 5_000_000
        await client.cancel_run(run.name)


@pytest.mark.timeout(180)
async def test_claude_is_stopped_within_one_turn(tmp_path: Path) -> None:
    """If the budget is below the price of one turn, the real Claude Code completes only that turn."""
    need_package("claude_agent_sdk")
    repository = make_repository(tmp_path / "repository")
    plan = pb.Plan(
        name="Dear",
        budget_usd_micros=1,
        defaults=pb.TaskDefaults(
            agent="claude",
            model="claude-haiku-4-5",
            permissions=pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW),
        ),
        epics=[pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="one", prompt="Do it")])],
    )
    async with anthropic_model([Turn(calls=[Call("Bash", {"command": "true"})])] * 5) as model:
        extra = environment(tmp_path, model.url)
        names = {"HEDDLE_AGENT_ENV": ",".join(extra)}
        async with (
            running_fleet(tmp_path / "home", {**extra, **names}) as fleet,
            fleet.client() as client,
        ):
            run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
            await until(client, run.name, lambda event: event.HasField("task_failed"))
            held = await client.get_run(run.name)
        assert held.state == pb.RUN_STATE_PAUSED
        assert "budget" in held.reason
        assert len(model.requests) == 1
