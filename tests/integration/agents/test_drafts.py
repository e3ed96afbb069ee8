"""Plans that the real agents draft, with all services; only the models are scripted."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support import claude
from tests.support.acp_adapter import AGENT as ACP
from tests.support.acp_adapter import adapter_environment
from tests.support.codex import CONFIG
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.responses import responses_model
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


@pytest.mark.timeout(240)
async def test_real_agents_draft_plans(tmp_path: Path) -> None:
    """Claude Code, an ACP agent and Codex hand over a plan in their last answer, and resume their session with its errors.

    None of them can write to the repository.
    """
    need_package("claude_agent_sdk")
    programs = need_program("codex").parent
    repository = make_repository(tmp_path / "repository")
    (codex_home := tmp_path / "codex-home").mkdir()
    async with (
        anthropic_model() as anthropic,
        responses_model(answers("codex", "codex.txt")) as openai,
    ):
        for agent in ("claude", ACP):
            anthropic.play(answers(agent, f"{agent.replace(':', '-')}.txt"), f"the search of {agent}")
        (codex_home / "config.toml").write_text(CONFIG.format(url=openai.url, key="OPENAI_API_KEY"))
        environment = {
            **claude.environment(tmp_path, anthropic.url),
            **adapter_environment(),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CODEX_HOME": str(codex_home),
            "OPENAI_API_KEY": "scripted",
            "HEDDLE_AGENT_ENV": "CLAUDE_CODE_EXECUTABLE,CLAUDE_CODE_MAX_RETRIES",
        }
        agents = ("claude", ACP, "codex")
        async with running_fleet(tmp_path / "home", environment) as fleet, fleet.client() as client:
            found = await asyncio.gather(*(drafted(client, agent, repository) for agent in agents))
            attempts = {
                run.name: await client.list_attempts(f"{run.name}/epics/-/tasks/-") for run, _ in found
            }

    for agent, (run, draft) in zip(agents, found, strict=True):
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
