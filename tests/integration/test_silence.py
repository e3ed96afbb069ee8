"""An agent that stops producing output, with all services real."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.agents import seconds
from tests.support.fleet import running_fleet
from tests.support.repositories import make_repository

AGENT = "command:case $HEDDLE_ATTEMPT in 1) echo begun; sleep 600;; esac; echo x > x.txt"

# Long enough for an agent that starts on a busy machine not to be reported.
LIMIT = seconds(12)

STEPS = ("session_silent", "session_finished", "task_failed", "task_accepted")


@pytest.mark.timeout(180)
async def test_silent_agent_is_reported_then_stopped_then_tried_again(tmp_path: Path) -> None:
    """The run's log reports the silence before the session's end, and the next attempt is accepted."""
    repository = make_repository(tmp_path / "repository")
    defaults = pb.TaskDefaults(agent=AGENT, retries=1, silence=LIMIT)
    plan = pb.Plan(name="Silent", defaults=defaults)
    plan.epics.add(key="a").tasks.add(key="t", prompt="Go")
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = [event async for answer in client.watch_run(run.name) for event in answer.events]
    told = [event for event in events if event.WhichOneof("payload") in STEPS]
    assert [(event.WhichOneof("payload"), event.attempt) for event in told] == [
        ("session_silent", 1),
        ("session_finished", 1),
        ("task_failed", 1),
        ("session_finished", 2),
        ("task_accepted", 2),
    ]
    silent, ended, failed, *_ = told
    assert silent.session_silent.limit == LIMIT
    assert "said and did nothing for 12 s" in ended.session_finished.reason
    assert failed.task_failed.will_retry
