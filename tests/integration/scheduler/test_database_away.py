"""A scheduler whose database cannot be reached when it starts."""

import asyncio
import signal
from pathlib import Path

from tests.support.fleet import Fleet
from tests.support.ports import free_ports
from tests.support.scheduler import eventually


async def test_one_signal_ends_a_start_that_waits_for_the_database(tmp_path: Path) -> None:
    """While the database is away the scheduler waits for it; one SIGTERM ends it cleanly."""
    (port,) = free_ports(1)
    url = f"postgresql://heddle@127.0.0.1:{port}/heddle"
    fleet = Fleet(tmp_path, {"HEDDLE_DATABASE_URL": url, "HEDDLE_WORKERS": "local=127.0.0.1:1+127.0.0.1:1"})
    fleet.spawn("scheduler_svc")
    process = fleet._processes["scheduler_svc"]
    try:
        await eventually(lambda: "database_not_ready" in fleet.log("scheduler_svc"))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        fleet.stop()
    log = fleet.log("scheduler_svc")
    assert "stopped" in log
    assert "Traceback" not in log
