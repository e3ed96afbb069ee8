"""The web app as a process: how it starts, ends and reports errors."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.ports import free_ports

UNREACHABLE = "127.0.0.1:1"


@contextmanager
def web_app(home: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "HEDDLE_HOME": str(home), "HEDDLE_SCHEDULER": UNREACHABLE, **settings}
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "ui_svc"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def free_address() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


def wait_until_served(address: str) -> None:
    give_up = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=5):
                return
        except OSError:  # refused, or slow to answer; includes URLError
            assert time.monotonic() < give_up, "the web app does not answer"
            time.sleep(0.05)


def test_without_a_scheduler_the_page_says_so_and_sigterm_ends_it_in_order(
    tmp_path: Path, browser: Browser
) -> None:
    """Without a scheduler it says what to start, and exits with 0 on SIGTERM even if a page is open."""
    address = free_address()
    with web_app(tmp_path, HEDDLE_LISTEN=address) as process:
        wait_until_served(address)
        with browser.new_context() as context:
            name = f"heddle-session-{address.rpartition(':')[2]}"
            context.add_cookies([{"name": name, "value": "token", "url": f"http://{address}"}])
            page = context.new_page()
            page.goto(f"http://{address}/")
            expect(page.get_by_text("The scheduler is unavailable")).to_be_visible()
            expect(page.get_by_text("heddle up")).to_be_visible()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    """The error names the address and what to do, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with web_app(tmp_path, HEDDLE_LISTEN=address) as process:
            _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert address in said
    assert "--ports" in said
    assert "Traceback" not in said


def test_a_malformed_setting_is_named(tmp_path: Path) -> None:
    """The error names the setting, and the exit code is that of a usage error."""
    with web_app(tmp_path, HEDDLE_LISTEN="nowhere") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "HEDDLE_LISTEN" in said
