"""The process of a service keeps its memory and its files from others."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, ending, output

SERVICE = """
import sys
from heddle.rpc import service_process
from heddle.config import Settings
if "protected" in sys.argv:
    service_process.protect(Settings.read({"HEDDLE_HOME": sys.argv[1]}))
print("ready", flush=True)
sys.stdin.read()
"""

# Root can read every process by a capability; without it, root is a user like any other.
AS_USER = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_DUMPABLE is of Linux")
@pytest.mark.parametrize("protected", [False, True])
def test_other_processes_of_the_user_cannot_read_a_service(tmp_path: Path, protected: bool) -> None:
    """The environment of a service, with its secrets, is closed even to programs of the same user."""
    arguments = [str(tmp_path / "home"), *(["protected"] if protected else [])]
    with subprocess.Popen(
        [*AS_USER, sys.executable, "-c", SERVICE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "CANARY": "canary-4b1d"},
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
        found = subprocess.run(
            [*AS_USER, "grep", "--count", "canary-4b1d", f"/proc/{service.pid}/environ"],
            capture_output=True,
            text=True,
            check=False,
        )
        service.communicate()
    assert (found.stdout == "1\n") is not protected
    assert ("Permission denied" in found.stderr) is protected


@pytest.mark.parametrize(("shared", "left"), [("", []), ("HEDDLE_TOKEN", ["HEDDLE_TOKEN"])])
def test_programs_of_a_service_do_not_get_its_secrets(tmp_path: Path, shared: str, left: list[str]) -> None:
    """The environment of git and the like, which others can read, has no secrets but those meant for agents."""
    program = (
        "import os, subprocess; from heddle.rpc import service_process; from heddle.config import Settings;"
        " service_process.protect(Settings.read()); subprocess.run(['env'], check=True)"
    )
    environment = {
        **os.environ,
        "HEDDLE_HOME": str(tmp_path / "home"),
        "HEDDLE_TOKEN": "canary-4b1d",
        "HEDDLE_DATABASE_URL": "sqlite:////tmp/canary-4b1d",
        "HEDDLE_AGENT_ENV": shared,
    }
    arguments = [sys.executable, "-c", program]
    shown = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout
    assert [line.partition("=")[0] for line in shown.splitlines() if "canary-4b1d" in line] == left


async def test_agents_write_with_the_umask_of_the_user(tmp_path: Path) -> None:
    """The service's own files are private to its user, but what an agent writes has the user's umask."""
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX="off")
    home = tmp_path / "home"
    mask = os.umask(0o022)
    try:
        async with service.serving() as worker:
            events = await worker.run(
                "command:touch file; mkdir folder; umask", checks={"c": "test $(umask) = 0022"}
            )
    finally:
        os.umask(mask)
    assert ending(events) == ("SUCCEEDED", "")
    assert output(events) == "0022\n"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    # The test wrote the record of the worktree, which is the other service's.
    files = [
        path
        for path in await asyncio.to_thread(lambda: list(home.rglob("*")))
        if path.is_file() and home / "worktrees" not in path.parents
    ]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
    assert stat.S_IMODE((worker.worktree / "file").stat().st_mode) == 0o644
