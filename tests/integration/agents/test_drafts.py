"""Plans that the real agents draft, with all services; only the models are scripted."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from heddle.plan.yaml import writing
from tests.support import claude
from tests.support.acp_adapter import AGENT as ACP
from tests.support.acp_adapter import adapter_environment
from tests.support.codex import CONFIG
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import AnthropicModel, anthropic_model
from tests.support.models.responses import ResponsesModel, responses_model
from tests.support.models.turns import Answer, Call, Turn
from tests.support.programs import need_package, need_program
from tests.support.repositories import git, make_repository

PLAN = """\
name: Search
defaults: {{agent: "{agent}", checks: [make test]}}
epics:
  - key: api
    tasks:
      - {{key: route, estimate: 10m, prompt: Add it.}}
"""


def answers(agent: str, file: str) -> list[Answer]:
    """Returns what the model says: it tries to write, then hands over a bad plan, and then a good one."""
    plan = PLAN.format(agent=agent)
    return [
        Turn(calls=[Call("Bash", {"command": f"echo x > {file}"})])
        if agent == "codex"
        else Turn(calls=[Call("Write", {"file_path": file, "content": "x"})]),
        Turn(f"First try.\n```yaml\n{plan.replace('prompt', 'promt')}```"),
        Turn(f"Because.\n```yaml\n{plan}```"),
    ]


async def drafted(client: HeddleClient, agent: str, repository: Path) -> tuple[pb.Run, pb.Draft]:
    goal = f"Add the search of {agent}"
    run = await client.draft_plan(pb.DraftPlanRequest(goal=goal, agent=agent, project=str(repository)))
    async for _ in client.watch_run(run.name):
        pass
    return await client.get_run(run.name), await client.get_draft(run.name)


AGENTS = ("claude", ACP, "codex")


@asynccontextmanager
async def real_agents(folder: Path) -> AsyncIterator[tuple[HeddleClient, AnthropicModel, ResponsesModel]]:
    """Runs all services with the three agents, and their models."""
    need_package("claude_agent_sdk")
    programs = need_program("codex").parent
    (codex_home := folder / "codex-home").mkdir()
    async with anthropic_model() as anthropic, responses_model() as openai:
        (codex_home / "config.toml").write_text(CONFIG.format(url=openai.url, key="OPENAI_API_KEY"))
        environment = {
            **claude.environment(folder, anthropic.url),
            **adapter_environment(),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CODEX_HOME": str(codex_home),
            "OPENAI_API_KEY": "scripted",
            "HEDDLE_AGENT_ENV": "CLAUDE_CODE_EXECUTABLE,CLAUDE_CODE_MAX_RETRIES",
        }
        async with running_fleet(folder / "home", environment) as fleet, fleet.client() as client:
            yield client, anthropic, openai


@pytest.mark.timeout(240)
async def test_real_agents_draft_plans(tmp_path: Path) -> None:
    """Claude Code, an ACP agent and Codex hand over a plan in their last answer, and resume their session with its errors.

    None of them can write to the repository.
    """
    repository = make_repository(tmp_path / "repository")
    async with real_agents(tmp_path) as (client, anthropic, openai):
        for agent in AGENTS:
            model = openai if agent == "codex" else anthropic
            model.play(answers(agent, f"{agent.replace(':', '-')}.txt"), f"the search of {agent}")
        found = await asyncio.gather(*(drafted(client, agent, repository) for agent in AGENTS))
        attempts = {run.name: await client.list_attempts(f"{run.name}/epics/-/tasks/-") for run, _ in found}

    for agent, (run, draft) in zip(AGENTS, found, strict=True):
        about = f"{agent}: {run.reason} {draft} {attempts[run.name]}"
        assert run.state == pb.RUN_STATE_SUCCEEDED, about
        assert draft.handovers == 2, about
        assert draft.text == PLAN.format(agent=agent), about
        assert draft.reasons == "Because.", about
        first, second = attempts[run.name]
        assert "unknown key, did you mean prompt?" in first.reason
        assert first.agent_session.id == second.agent_session.id, "the second round resumes the session"
        assert first.usage.output_tokens
        assert not second.kept_ref, "something was written"
        assert not first.kept_ref, "something was written"
    heads = set(git(repository, "for-each-ref", "--format=%(objectname)", "refs/heads").split())
    assert heads == {git(repository, "rev-parse", "main")}
    for requests in (anthropic.requests, openai.requests):
        assert "[Heddle] Your last answer cannot be used" in json.dumps(requests[-1])


def failing(key: str) -> pb.Plan:
    """Returns a plan with one epic, whose first task is accepted and whose second one fails."""
    plan = pb.Plan(name="Shop", defaults=pb.TaskDefaults(checks=[pb.Check(name="true", run="true")]))
    epic = plan.epics.add(key=key, touches=["**"], on_failure=pb.ON_FAILURE_STOP_EPIC)
    for task, agent in (("one", "command:date > one.txt"), ("two", "command:exit 1")):
        epic.tasks.add(key=task, prompt="Go", agent=agent).estimate.FromSeconds(60)
    return plan


def split(key: str) -> pb.Plan:
    """Returns the same plan with an epic for each task."""
    plan = failing(key)
    other = plan.epics.add(key=f"{key}-two", touches=["two/**"])
    other.tasks.append(plan.epics[0].tasks.pop())
    plan.epics[0].touches[:] = ["one/**"]
    return plan


def again(key: str, prompt: str) -> pb.Plan:
    """Returns the plan with another task for what failed; `prompt` is that of the accepted task."""
    plan = failing(key)
    plan.epics[0].tasks[0].prompt = prompt
    added = plan.epics[0].tasks.add(key="three", prompt="Go", agent="command:date > three.txt")
    added.estimate.FromSeconds(60)
    return plan


def said(plan: pb.Plan) -> Turn:
    return Turn(f"Because.\n```yaml\n{writing.text_of(plan)}```")


async def revised(
    client: HeddleClient, agent: str, revision: pb.PlanRevision, project: str = ""
) -> tuple[pb.Run, pb.Draft]:
    asked = pb.DraftPlanRequest(agent=agent, revises=revision, project=project)
    run = await client.draft_plan(asked)
    async for _ in client.watch_run(run.name):
        pass
    return await client.get_run(run.name), await client.get_draft(run.name)


async def changes(client: HeddleClient, agent: str, key: str, repository: Path) -> None:
    """Has an agent split an epic of a plan, and plan the rest of a failed run of it, which then succeeds."""
    plan = pb.PlanRevision(kind=pb.PLAN_REVISION_KIND_SPLIT, plan=failing(key), epic=key)
    ended, draft = await revised(client, agent, plan, str(repository))
    assert ended.state == pb.RUN_STATE_SUCCEEDED, f"{agent}: {ended.reason} {draft}"
    assert draft.plan == split(key), agent
    request = pb.CreateRunRequest(plan=failing(key), project=str(repository))
    run = await client.create_run(request)
    async for _ in client.watch_run(run.name):
        pass
    rest = pb.PlanRevision(kind=pb.PLAN_REVISION_KIND_REST, run=run.name, epic=key)
    ended, draft = await revised(client, agent, rest)
    assert ended.state == pb.RUN_STATE_SUCCEEDED, f"{agent}: {ended.reason} {draft}"
    assert (draft.handovers, draft.revision) == (2, 1), agent
    first, second = await client.list_attempts(f"{ended.name}/epics/-/tasks/-")
    assert "errors of the plan go back to the agent" in first.reason, agent
    assert first.agent_session.id == second.agent_session.id, agent
    apply = pb.ApplyPlanRequest(
        name=run.name, plan=draft.plan, revision=draft.revision, skip_failed_of=draft.skip_failed_of
    )
    await client.apply_plan(apply)
    async for _ in client.watch_run(run.name):
        pass
    assert (await client.get_run(run.name)).state == pb.RUN_STATE_SUCCEEDED, agent


@pytest.mark.timeout(300)
async def test_real_agents_change_plans(tmp_path: Path) -> None:
    """Claude Code, an ACP agent and Codex split an epic, and plan the rest of a run after a failure.

    A change of what was accepted goes back to them; the second answer is applied.
    """
    repository = make_repository(tmp_path / "repository")
    keys = {agent: f"api-{place}" for place, agent in enumerate(AGENTS)}
    async with real_agents(tmp_path) as (client, anthropic, openai):
        for agent, key in keys.items():
            model = openai if agent == "codex" else anthropic
            model.play([said(split(key))], f"Split the epic `{key}`")
            late = [said(again(key, "Other")), said(again(key, "Go"))]
            model.play(late, f"Plan the rest of the epic `{key}`")
        await asyncio.gather(*(changes(client, agent, key, repository) for agent, key in keys.items()))
