"""A worker that shuts down while agents work."""

from pathlib import Path

from agent_svc.app import build
from heddle import pb
from heddle.testing.driver_stage import make_worktree
from tests.integration.agent.test_sessions import FOREVER, refused
from tests.support.agents import EPIC, Agents, agents, ending, settings
from tests.support.services import serving


async def test_draining_takes_nothing_new(tmp_path: Path) -> None:
    """A session that still runs when the drain ends is interrupted, and its log is complete."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start(FOREVER)
        await worker.until_says(attempt, "ready")
    async with agents(tmp_path) as worker:
        assert ending(await worker.events(attempt)) == ("INTERRUPTED", "its worker was shut down")


async def test_draining_gives_sessions_their_time(tmp_path: Path) -> None:
    """A session that ends within HEDDLE_DRAIN ends normally; the others are interrupted after it."""
    chosen = settings(tmp_path / "home").model_copy(update={"drain": 2.0})
    async with serving(build(chosen)) as channel:
        worker = Agents(channel, make_worktree(tmp_path / "home", EPIC))
        short = await worker.start("command:echo ready; sleep 1", task="short")
        long = await worker.start(FOREVER, task="long")
        for attempt in (short, long):
            await worker.until_says(attempt, "ready")
    async with serving(build(settings(tmp_path / "home"))) as channel:
        worker = Agents(channel, make_worktree(tmp_path / "home", EPIC))
        assert ending(await worker.events(short))[0] == "SUCCEEDED"
        assert ending(await worker.events(long))[0] == "INTERRUPTED"


async def test_drained_service_refuses(tmp_path: Path) -> None:
    """A worker that drains tells callers to retry later."""
    service = build(settings(tmp_path / "home"))
    async with serving(service) as channel:
        await service.drain()
        error = await refused(Agents(channel, tmp_path).start())
        assert error.reason == pb.ERROR_REASON_DRAINING
