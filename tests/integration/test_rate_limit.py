"""A provider's limit on real services with the real Claude Code."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.claude import environment
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import anthropic_model
from tests.support.models.turns import Failure, Turn
from tests.support.programs import need_package
from tests.support.repositories import make_repository


@pytest.mark.timeout(180)
async def test_a_rate_limited_claude_goes_on_by_itself(tmp_path: Path) -> None:
    """A task without retries whose provider answers 429 waits as long as that says, then runs again."""
    need_package("claude_agent_sdk")
    repository = make_repository(tmp_path / "repository")
    limited = Failure(429, headers={"retry-after": "1"})
    plan = pb.Plan(
        name="Busy",
        epics=[pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="one", prompt="Do it", agent="claude")])],
    )
    # Claude tries twice in each session.
    async with anthropic_model([limited, limited, Turn("Done.")]) as model:
        extra = environment(tmp_path, model.url)
        settings = {**extra, "HEDDLE_AGENT_ENV": ",".join(extra)}
        async with (
            running_fleet(tmp_path / "home", settings) as fleet,
            HeddleClient(fleet.scheduler) as client,
        ):
            run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
            events = [event async for answer in client.watch_run(run.name) for event in answer.events]
            ended = await client.get_run(run.name)
    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    [failed] = [event.task_failed for event in events if event.HasField("task_failed")]
    assert failed.will_retry
    assert "rate limited (429)" in failed.reason
    [waiting] = [event.task_waiting for event in events if event.HasField("task_waiting")]
    assert waiting.reason.startswith("rate-limited until ")
    assert waiting.HasField("until")
