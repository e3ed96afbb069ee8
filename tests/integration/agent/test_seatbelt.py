"""The sandbox of macOS, on a Mac: see tests/unit/agent/test_seatbelt.py for the text of its profile."""

import os
import platform
import socket
import subprocess
from pathlib import Path

import pytest

from agent_svc.sandbox.bubblewrap import Resident
from agent_svc.sandbox.rules import Rules
from agent_svc.sandbox.seatbelt import Seatbelt

pytestmark = pytest.mark.skipif(platform.system() != "Darwin", reason="sandbox-exec is of macOS")


def test_a_session_writes_and_sees_only_its_own(tmp_path: Path) -> None:
    """Writing outside of the worktree, reading a secret and connecting to a socket in the home fail."""
    home, user, worktree, scratch = (tmp_path / name for name in ("home", "user", "worktree", "scratch"))
    for each in (home, user / ".ssh", worktree, scratch):
        each.mkdir(parents=True)
    (user / ".ssh" / "id").write_text("canary\n")
    rules = Rules(home)
    resident = Resident(worktree, scratch, {**os.environ, "HOME": str(user)})
    wrapper = Seatbelt.find(rules).wrapper(resident)

    def works(shell: str) -> bool:
        return subprocess.run([*wrapper, "/bin/sh", "-c", shell], check=False, cwd=worktree).returncode == 0

    assert works("touch file")
    assert works(f"touch {scratch}/file")
    assert not works(f"touch {tmp_path}/file")
    assert not works(f"cat {user}/.ssh/id")
    assert not works(f"ls {home}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home / "s"))
        server.listen()
        assert not works(f"nc -U {home}/s < /dev/null")
