"""`heddle demo`, the command behind `make run`."""

import socket
from pathlib import Path

from heddle.cli.admin.ports import Endpoints
from tests.support.commands import gone, running
from tests.support.ports import free_base
from tests.support.repositories import git

# What the demo is for, in the order in which it happens. One more task than the plan has is accepted: an
# agent has resolved the conflict.
SHOWN = (
    "&next=/runs/todo-list-",
    "asks: May a shared link be opened without an account?",
    "check 'Todo tests' failed",
    "in todo/commands.py",
    "no answer within",
    "resolve-1/1: accepted",
    "The model's answer was cut off",
    "web-api: merged into",
    "Release 1.0 has waited for your decision; the demo merges it",
    "succeeded (22/22 tasks accepted",
    "until Ctrl-C",
    "/new",
)


async def test_demo_runs_the_sample_and_stays_up(tmp_path: Path) -> None:
    """The demo avoids ports in use, links to its run, needs no one until the run ends, and stops on Ctrl-C."""
    home = tmp_path / "home"
    wanted = Endpoints(free_base(), home)
    with socket.create_server(("127.0.0.1", wanted.ui.port)):
        async with running(
            "demo", "--ports", str(wanted.base), "--speed", "40", env={"HEDDLE_HOME": str(home)}
        ) as demo:
            await demo.says("Heddle is up")
            assert f"port {wanted.ui.port} (ui) is in use" in demo.err
            assert wanted.board not in demo.out
            assert "sign-in" not in demo.out, "The first link is the run's"
            for shown in SHOWN:
                await demo.says(shown)
            children = demo.descendants()
            demo.interrupt()
            assert await demo.exit_code() == 0
            assert await gone(children) == []
            assert "Traceback" not in demo.out + demo.err
    sample = home / "demo" / "sample-1"
    branch = next(line for line in demo.out.splitlines() if "result is on branch" in line).split()[5]
    assert len(git(sample, "log", "--first-parent", "--format=%s", branch).splitlines()) > 3
