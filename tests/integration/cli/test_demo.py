"""`heddle demo`, the command behind `make run`."""

import random
import socket
from pathlib import Path

from heddle.cli.admin import ports
from heddle.cli.admin.ports import Endpoints
from tests.support.commands import gone, running
from tests.support.repositories import git


async def test_demo_runs_the_sample_and_stays_up(tmp_path: Path) -> None:
    """The demo avoids ports in use, shows the sample run until it ends, and stops on Ctrl-C."""
    home = tmp_path / "home"
    wanted = Endpoints(ports.find_free(random.SystemRandom().randrange(33_000, 34_000, 10)), home)
    with socket.create_server(("127.0.0.1", wanted.ui.port)):
        async with running("demo", "--ports", str(wanted.base), env={"HEDDLE_HOME": str(home)}) as demo:
            await demo.says("Heddle is up")
            assert f"port {wanted.ui.port} (ui) is in use" in demo.err
            assert wanted.board not in demo.out
            await demo.says("9/9 tasks accepted")
            await demo.says("until Ctrl-C")
            children = demo.descendants()
            demo.interrupt()
            assert await demo.exit_code() == 0
            assert await gone(children) == []
            assert "Traceback" not in demo.out + demo.err
    sample = home / "demo" / "sample-1"
    branch = next(line for line in demo.out.splitlines() if "result is on branch" in line).split()[5]
    assert len(git(sample, "log", "--first-parent", "--format=%s", branch).splitlines()) > 3
