"""One plan with three kinds of real agents and all services; only the models are scripted."""

import os
from collections import Counter
from pathlib import Path

import pytest

from heddle import pb
from tests.support import claude
from tests.support.acp_adapter import AGENT as ACP
from tests.support.acp_adapter import adapter_environment
from tests.support.codex import CONFIG
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.responses import responses_model
from tests.support.models.turns import Call, Turn
from tests.support.programs import need_package, need_program
from tests.support.repositories import git, make_repository

AGENTS = {"claude-epic": "claude", "acp-epic": ACP, "codex-epic": "codex"}

# The service has these variables; an agent must not.
CANARY = "canary-4711"


def command(epic: str) -> Turn:
    """Returns a command that writes the epic's file, and the agent's environment next to it."""
    return Turn(calls=[Call("Bash", {"command": f"echo {epic} > {epic}.txt; env > {epic}.env"})])


def plan() -> pb.Plan:
    return pb.Plan(
        name="Mixed",
        defaults=pb.TaskDefaults(permissions=pb.Permissions(allow=["Bash(*)"])),
        epics=[
            pb.PlanEpic(
                key=epic,
                tasks=[
                    pb.PlanTask(
                        key="write",
                        agent=agent,
                        prompt=f"Write the file of {epic}",
                        checks=[pb.Check(name="written", run=f"grep -qx {epic} {epic}.txt")],
                    )
                ],
            )
            for epic, agent in AGENTS.items()
        ],
    )


@pytest.mark.timeout(240)
async def test_three_kinds_of_agents_in_one_plan(tmp_path: Path) -> None:
    """Claude Code, an ACP agent and Codex work in parallel and are merged, and see no secret of the service."""
    need_package("claude_agent_sdk")
    programs = need_program("codex").parent
    repository = make_repository(tmp_path / "repository")
    (codex_home := tmp_path / "codex-home").mkdir()
    async with (
        anthropic_model() as anthropic,
        responses_model([command("codex-epic"), Turn("Done.")]) as openai,
    ):
        for epic in ("claude-epic", "acp-epic"):
            anthropic.play([command(epic), Turn("Done.")], f"file of {epic}")
        (codex_home / "config.toml").write_text(CONFIG.format(url=openai.url, key="OPENAI_API_KEY"))
        environment = {
            **claude.environment(tmp_path, anthropic.url),
            **adapter_environment(),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CODEX_HOME": str(codex_home),
            "OPENAI_API_KEY": "scripted",
            "HEDDLE_AGENT_ENV": "CLAUDE_CODE_EXECUTABLE,CLAUDE_CODE_MAX_RETRIES",
            "DATABASE_PASSWORD": CANARY,
        }
        async with (
            running_fleet(tmp_path / "home", environment) as fleet,
            fleet.client() as client,
        ):
            run = await client.create_run(pb.CreateRunRequest(plan=plan(), project=str(repository)))
            events = [event async for answer in client.watch_run(run.name) for event in answer.events]
            ended = await client.get_run(run.name)
            attempts = await client.list_attempts(f"{run.name}/epics/-/tasks/-")

    reasons = [(attempt.name, attempt.reason) for attempt in attempts if attempt.reason]
    assert ended.state == pb.RUN_STATE_SUCCEEDED, (ended.reason, reasons)
    merged = ended.branch
    for epic in AGENTS:
        assert git(repository, "show", f"{merged}:{epic}.txt") == epic
        seen = git(repository, "show", f"{merged}:{epic}.env")
        assert "PATH=" in seen
        assert CANARY not in seen
        assert "DATABASE_PASSWORD" not in seen
    # Each agent's tool calls and tokens are reported in the same vocabulary.
    assert {attempt.agent for attempt in attempts} == set(AGENTS.values())
    assert all(attempt.summary.tool_calls for attempt in attempts)
    assert all(attempt.usage.output_tokens for attempt in attempts)
    kinds = Counter(event.WhichOneof("payload") for event in events)
    assert kinds["merge_finished"] == len(AGENTS)
