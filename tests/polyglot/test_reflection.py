"""A generic gRPC client does not even need the protos: the services describe themselves."""

import asyncio
import json
import sys
from pathlib import Path

from heddle.sockets import is_socket
from tests.support.fleet import running_fleet

BUF = Path(sys.prefix) / "bin" / "buf"


async def curl(address: str, method: str, token: str) -> object:
    """Calls a method through server reflection alone; returns its answer."""
    command = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect", "--data", "{}"]
    if is_socket(address):
        command += ["--unix-socket", address.removeprefix("unix:"), f"http://localhost/{method}"]
    else:
        command += [
            "--header",
            f"authorization: Bearer {token}",
            "--reflect-header",
            "*",
            f"http://{address}/{method}",
        ]
    process = await asyncio.create_subprocess_exec(
        str(BUF), *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_services_describe_themselves(tmp_path: Path) -> None:
    """A generic client (buf curl) lists runs, sessions and worktrees of live services, and their health."""
    async with running_fleet(tmp_path / "home") as fleet:
        assert await curl(fleet.scheduler, "heddle.v1.SchedulerService/ListRuns", fleet.token) == {}
        assert await curl(fleet.agent, "heddle.v1.AgentService/ListSessions", fleet.token) == {}
        assert await curl(fleet.worktree, "heddle.v1.WorktreeService/ListWorktrees", fleet.token) == {}
        for address in (fleet.scheduler, fleet.agent, fleet.worktree):
            assert await curl(address, "grpc.health.v1.Health/Check", fleet.token) == {"status": "SERVING"}
