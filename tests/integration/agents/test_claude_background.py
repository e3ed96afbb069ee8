"""Background commands of the real Claude Code."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from heddle import pb
from tests.integration.agents.test_claude import messages
from tests.support.agents import ending, payloads
from tests.support.claude import claude
from tests.support.models.turns import Call, Turn

ALLOWED = pb.Permissions(allow=["Bash(*)", "Agent"])

# Slow enough to outlive the turn that starts it.
SLOW = "sleep 2; echo x > late.txt"


def _works(events: Sequence[pb.Event]) -> list[pb.BackgroundWork]:
    return [event.background_work for event in payloads(events, "background_work")]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Call("Bash", {"command": SLOW, "description": "slow", "run_in_background": True}), SLOW),
        (
            Call("Agent", {"description": "sub work", "prompt": "Sub", "subagent_type": "general-purpose"}),
            "sub work",
        ),
    ],
    ids=["command", "agent"],
)
async def test_waits_for_what_runs_in_the_background(tmp_path: Path, call: Call, name: str) -> None:
    """After its last turn, a session waits for background work, reports it, and lets Claude use its outcome."""
    async with claude(tmp_path, [Turn(calls=[Call("Bash", {"command": SLOW})]), Turn("Sub is done.")]) as it:
        it.model.play([Turn("I begin.", calls=[call]), Turn("I wait."), Turn("Went on.")], "Do it")
        events = await it.worker.run(
            "claude",
            environment=it.environment,
            permissions=ALLOWED,
            background_wait=120,
            checks={"there": "cat late.txt"},
        )
    assert ending(events) == ("SUCCEEDED", "")
    waiting, *_, over = _works(events)
    assert (list(waiting.running), waiting.count, waiting.limit.seconds) == ([name], 1, 120)
    assert over == pb.BackgroundWork()
    assert messages(events)[-1] == (pb.MESSAGE_KIND_TEXT, "Went on.")


async def test_stops_what_does_not_end(tmp_path: Path) -> None:
    """At the limit, what still runs is ended and reported by its command line; the checks then run."""
    endless = Call("Bash", {"command": "sleep 613.5", "description": "serve", "run_in_background": True})
    async with claude(tmp_path) as it:
        it.model.play([Turn("I serve.", calls=[endless]), Turn("It serves.")], "Do it")
        events = await it.worker.run(
            "claude",
            environment=it.environment,
            permissions=ALLOWED,
            background_wait=2,
            checks={"gone": "! pgrep -f 'sleep 613[.]5'"},
        )
    assert ending(events) == ("SUCCEEDED", "")
    assert list(_works(events)[-1].stopped) == ["sleep 613.5"]
