"""Real agents that review each other's work, with all services; only the models are scripted."""

import json
import os
from pathlib import Path

import pytest

from heddle import pb
from tests.support import claude
from tests.support.codex import CONFIG
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.responses import responses_model
from tests.support.models.turns import Answer, Call, Turn
from tests.support.programs import need_package, need_program
from tests.support.repositories import git, make_repository


def answer(*findings: dict[str, object]) -> str:
    """Returns what a reviewer says at the end."""
    return f"I looked at it.\n\n```json\n{json.dumps({'summary': 'Seen.', 'findings': findings})}\n```\n"


def spoiled(agent: str) -> Answer:
    """Returns the attempt of a reviewer to change the work."""
    command = {"command": "echo spoiled > page.txt"}
    spoil = {"file_path": "page.txt", "content": "spoiled\n"}
    return Turn(calls=[Call("Bash", command) if agent == "codex" else Call("Write", spoil)])


@pytest.mark.timeout(240)
async def test_real_agents_review_real_work(tmp_path: Path) -> None:
    """Codex rejects the work of Claude Code once; another Claude Code passes it. Neither can change it, and both cost."""
    need_package("claude_agent_sdk")
    programs = need_program("codex").parent
    repository = make_repository(tmp_path / "repository")
    (codex_home := tmp_path / "codex-home").mkdir()
    error: dict[str, object] = {
        "file": "page.txt",
        "line": 1,
        "severity": "error",
        "text": "The page is a draft.",
    }
    note: dict[str, object] = {"severity": "note", "text": "Fine."}
    task = pb.PlanTask(
        key="page",
        agent="claude",
        prompt="Write the page",
        permissions=pb.Permissions(allow=["Bash(*)"]),
        checks=[pb.Check(name="written", run="test -f page.txt")],
        reviews=[
            pb.PlanReview(agent="codex", prompt="Look for drafts"),
            pb.PlanReview(agent="claude", prompt="Look for owls", blocking=False),
        ],
    )
    async with (
        anthropic_model() as anthropic,
        responses_model([spoiled("codex"), Turn(answer(error)), Turn(answer())]) as openai,
    ):
        work = [
            Turn(calls=[Call("Bash", {"command": "echo draft > page.txt"})]),
            Turn("Written."),
            Turn(calls=[Call("Bash", {"command": "echo final > page.txt"})]),
            Turn("Fixed."),
        ]
        anthropic.play(work, "Write the page")
        anthropic.play([spoiled("claude"), Turn(answer(note))], "Look for owls")
        (codex_home / "config.toml").write_text(CONFIG.format(url=openai.url, key="OPENAI_API_KEY"))
        environment = {
            **claude.environment(tmp_path, anthropic.url),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CODEX_HOME": str(codex_home),
            "OPENAI_API_KEY": "scripted",
        }
        async with running_fleet(tmp_path / "home", environment) as fleet, fleet.client() as client:
            plan = pb.Plan(name="Page", epics=[pb.PlanEpic(key="e", tasks=[task])])
            run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
            async for _ in client.watch_run(run.name):
                pass
            ended = await client.get_run(run.name)
            attempts = await client.list_attempts(f"{run.name}/epics/e/tasks/page")

    states = [(each.agent, pb.AttemptState.Name(each.state).rpartition("_")[2]) for each in attempts]
    assert states == [
        ("claude", "FAILED"),
        ("codex", "REVIEWED"),
        ("claude", "ACCEPTED"),
        ("codex", "REVIEWED"),
        ("claude", "REVIEWED"),
    ], ended.reason
    assert [each.text for each in attempts[1].review.findings] == ["The page is a draft."]
    assert [each.text for each in attempts[4].review.findings] == ["Fine."]
    assert git(repository, "show", f"{attempts[2].commit}:page.txt") == "final"
    assert attempts[4].summary.tool_errors == 1
    # The worker resumed its session, with the finding and its files.
    resumed = next(body for body in anthropic.requests if "The page is a draft." in json.dumps(body))
    assert "Written." in json.dumps(resumed)
    assert all(each.usage.output_tokens for each in attempts)
    assert ended.usage.output_tokens == sum(each.usage.output_tokens for each in attempts)
