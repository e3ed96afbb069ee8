"""A question of the real Claude Code uses no slot; after the answer its session resumes with its files."""

import json
from pathlib import Path

import pytest

from heddle import pb
from tests.support import claude
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.turns import Call, Turn
from tests.support.programs import need_package
from tests.support.repositories import git, make_repository

DEPLOY = "echo deployed > deployed.txt"


def plan() -> pb.Plan:
    return pb.Plan(
        name="Parked",
        epics=[
            pb.PlanEpic(key="asks", tasks=[pb.PlanTask(key="one", agent="claude", prompt="Deploy it")]),
            pb.PlanEpic(
                key="other",
                tasks=[pb.PlanTask(key="one", script=[pb.ScriptStep(say=pb.ScriptStep.Say(text="Done"))])],
            ),
        ],
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("approved", [True, False])
async def test_claude_goes_on_with_the_answer(tmp_path: Path, *, approved: bool) -> None:
    """With one slot, the other epic finishes first; then the same Claude session acts on the answer."""
    need_package("claude_agent_sdk")
    repository = make_repository(tmp_path / "repository")
    async with anthropic_model() as model:
        model.play(
            [
                Turn("I will deploy.", calls=[Call("Bash", {"command": "touch before.txt"})]),
                Turn(calls=[Call("Bash", {"command": DEPLOY})]),
                Turn(calls=[Call("Bash", {"command": DEPLOY})]),
                Turn("Done."),
            ],
            "Deploy it",
        )
        environment = {
            **claude.environment(tmp_path, model.url),
            "HEDDLE_AGENT_ENV": "CLAUDE_CODE_MAX_RETRIES",
            "HEDDLE_PARK_AFTER": "0",
        }
        async with (
            running_fleet(tmp_path / "home", environment) as fleet,
            fleet.client() as client,
        ):
            asked = plan()
            asked.epics[0].tasks[0].permissions.allow.append("Bash(touch:*)")
            request = pb.CreateRunRequest(plan=asked, project=str(repository), max_parallel=1)
            run = (await client.create_run(request)).name
            async for answer in client.watch_run(run):
                if any(event.epic == "other" and event.HasField("task_accepted") for event in answer.events):
                    break
            [approval] = await client.list_approvals()
            assert (await client.list_tasks(f"{run}/epics/asks"))[0].state == pb.TASK_STATE_WAITING

            await client.resolve_approval(
                approval.attempt, approval.approval_id, approved=approved, message="be careful"
            )
            async for _ in client.watch_run(run):
                pass
            ended = await client.get_run(run)
            attempts = await client.list_attempts(f"{run}/epics/asks/tasks/one")
            told = await client.list_session_events(attempts[-1].name)

    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert approval.target == DEPLOY
    assert [attempt.state for attempt in attempts] == [pb.ATTEMPT_STATE_PARKED, pb.ATTEMPT_STATE_ACCEPTED]
    # The conversation is the same: the model's last request contains what the first process received and did.
    heard = json.dumps(model.requests[-1]["messages"])
    assert "I will deploy." in heard
    assert f"The operator {'allowed' if approved else 'denied'} Bash({DEPLOY}), and said: be careful" in heard
    assert not any(event.HasField("approval_requested") for event in told.events)
    files = git(repository, "ls-tree", "--name-only", ended.branch).split()
    assert "before.txt" in files
    assert ("deployed.txt" in files) == approved
