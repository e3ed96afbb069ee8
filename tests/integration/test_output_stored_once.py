"""What a session with much output stores in the worker's spool and in the scheduler's database."""

import asyncio
from pathlib import Path

import pytest

from heddle import pb
from tests.support.fleet import running_fleet
from tests.support.repositories import make_repository

LIMIT = 4 << 20


@pytest.mark.timeout(180)
async def test_text_is_bounded_and_stored_once(tmp_path: Path) -> None:
    """30 MB of output are stored once, within the limit; a session with little output stays in the spool."""
    repository = make_repository(tmp_path / "repository")
    loud = pb.PlanTask(key="loud", prompt="Do it", agent="command:seq 1 4000000; touch a; echo done")
    quiet = pb.PlanTask(key="quiet", prompt="Do it", agent="command:touch b; echo done")
    plan = pb.Plan(name="Loud", epics=[pb.PlanEpic(key="a", tasks=[loud, quiet])])
    home = tmp_path / "home"
    async with (
        running_fleet(home, {"HEDDLE_SESSION_TEXT": str(LIMIT)}) as fleet,
        fleet.client() as client,
    ):
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        async for _ in client.watch_run(run.name):
            pass
        assert (await client.get_run(run.name)).state == pb.RUN_STATE_SUCCEEDED
        async with asyncio.timeout(60):
            while len(list(home.rglob("events.log"))) > 1:  # noqa: ASYNC110 (a released log sends no notification)
                await asyncio.sleep(0.05)
        [kept] = home.rglob("events.log")
        assert "quiet" in str(kept)

        attempt = f"{run.name}/epics/a/tasks/loud/attempts/1"
        events: list[pb.Event] = []
        while page := (await client.list_session_events(attempt, after=len(events), page_size=1000)).events:
            events += page
    text = "".join(event.output.text for event in events)
    assert text.startswith("1\n2\n")
    assert text.endswith("4000000\ndone\n")
    assert LIMIT // 2 < len(text) < LIMIT
    marks = [event.output_left_out for event in events if event.HasField("output_left_out")]
    assert marks[-1].final
    assert marks[-1].left_out_bytes > 25_000_000
