"""Imports that a command does not wait for."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.ports import free_base

# Each of these takes a tenth of a second or more. pydantic does too, but reads the settings of every program.
SLOW = ("structlog", "sqlalchemy", "nicegui")


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("heddle.cli.app", SLOW),
        # The services start only afterwards.
        ("heddle.cli.admin.up", (*SLOW, "grpc", "yaml", "heddle.client")),
        ("worktree_svc.app", ("sqlalchemy", "nicegui")),
        ("scheduler_svc.app", ("nicegui",)),
    ],
)
def test_a_start_does_not_wait_for_what_only_some_need(module: str, slow: tuple[str, ...]) -> None:
    """Libraries that only a few commands need are not imported at startup."""
    asked = f"import sys, {module}; print(*(name for name in {slow} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_web_app_can_be_stopped_before_it_serves(tmp_path: Path) -> None:
    """A signal that arrives while the web app still imports ends it at once, rather than after a kill."""
    port = free_base()
    environment = {"HEDDLE_HOME": str(tmp_path), "HEDDLE_LISTEN": f"127.0.0.1:{port}"}
    with subprocess.Popen([sys.executable, "-m", "ui_svc"], env=environment, stderr=subprocess.PIPE) as web:
        # It listens before these imports.
        while web.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        web.send_signal(signal.SIGTERM)
        try:
            _, said = web.communicate(timeout=30)
        finally:
            web.kill()
    assert (web.returncode, b"Traceback" in said) == (0, False)
