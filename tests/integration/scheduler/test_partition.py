"""A worker that cannot be reached for longer than its lease."""

import asyncio
from pathlib import Path

from heddle import pb
from tests.chaos.evidence import processes_below
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy
from tests.support.repositories import make_repository
from tests.support.scheduler import eventually

# Seconds; more than twice the time between two heartbeats, of which a busy machine may delay one.
LEASE = 6.0

# The first attempt works until it is ended, and has a child in a separate session.
AGENT = (
    """command:case $HEDDLE_ATTEMPT in 1) setsid sleep 600 & cd "$PLACE"; sleep 600;; esac; echo x > x.txt"""
)


async def test_worker_that_is_cut_off_lets_go_of_its_sessions(tmp_path: Path) -> None:
    """The worker ends its sessions after its lease; only then is a stop confirmed or a new attempt started."""
    repository = make_repository(tmp_path / "repository")
    (place := tmp_path / "place").mkdir()
    fleet = Fleet(tmp_path / "home")
    async with Proxy.to(fleet.worktree) as worktree, Proxy.to(fleet.agent) as agent:
        fleet._extra |= {
            "HEDDLE_WORKERS": f"local={worktree.address}+{agent.address}",
            "HEDDLE_LEASE": str(LEASE),
            "HEDDLE_STOP_GRACE": "0.5",
            "HEDDLE_AGENT_ENV": "PLACE",
            "PLACE": str(place),
            "HEDDLE_SANDBOX_WRITABLE": str(place),
        }
        try:
            await fleet.start("worktree_svc", "agent_svc", "scheduler_svc")
            async with fleet.client(patience=60) as client:
                runs = []
                for name in ("Cancelled", "Going on"):
                    plan = pb.Plan(name=name, defaults=pb.TaskDefaults(agent=AGENT))
                    plan.epics.add(key="a").tasks.add(key="one", prompt="Go")
                    request = pb.CreateRunRequest(plan=plan, project=str(repository))
                    runs.append((await client.create_run(request)).name)
                await eventually(lambda: len(processes_below(place)) >= len(runs))
                # Heartbeats renew the lease: only elapsed time can show that it does not end.
                await asyncio.sleep(LEASE + 1)
                assert len(processes_below(place)) >= len(runs)

                worktree.cut()
                agent.cut()
                while (cancelled := await client.cancel_run(runs[0])).state == pb.RUN_STATE_CANCELLING:
                    assert cancelled.waits_for.startswith("worker local cannot be reached")
                assert cancelled.state == pb.RUN_STATE_CANCELLED
                assert processes_below(place) == []
                assert "lease_ended" in fleet.log("agent_svc")
                assert (await client.get_run(runs[1])).state == pb.RUN_STATE_RUNNING

                worktree.restore()
                agent.restore()
                async with asyncio.timeout(60):
                    events = [event async for answer in client.watch_run(runs[1]) for event in answer.events]
                first, second = await client.list_attempts(f"{runs[1]}/epics/a/tasks/one")
        finally:
            fleet.stop()
    assert first.state == pb.ATTEMPT_STATE_LOST
    assert first.reason == f"its worker had no contact with a scheduler for {LEASE:g} s"
    assert second.state == pb.ATTEMPT_STATE_ACCEPTED
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
