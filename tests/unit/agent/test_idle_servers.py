"""Which processes count as idle servers, for which a session does not wait."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from agent_svc.agents.base import host
from agent_svc.agents.base.host import count_servers
from agent_svc.processes import supervisor
from agent_svc.processes.supervisor import Servers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")

LISTENS = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(flush=True); time.sleep(1000)"
)
DEADLINE = 30.0


@contextmanager
def running(*command: str, stdin: int) -> Iterator[int]:
    """Runs a program until the end of the block; yields its pid, for Python once it has printed a line."""
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE) as process:
        try:
            if command[0] == sys.executable:
                assert process.stdout is not None
                process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def until_idle(servers: Servers, *pids: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while not all(servers.has(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_commands_in_the_background_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on standard input, such as an MCP server, does not stand for a command that still works."""
    monkeypatch.setattr(supervisor, "IDLE", 0.05)
    with ExitStack() as stack:
        mcp = stack.enter_context(running("cat", stdin=subprocess.PIPE))
        work = stack.enter_context(running("sleep", "1000", stdin=subprocess.DEVNULL))
        monkeypatch.setattr(host, "children", lambda _: [mcp, work])
        servers = Servers()
        until_idle(servers, mcp)
        assert count_servers(servers, depth=1) == 0
        server = stack.enter_context(running(sys.executable, "-c", LISTENS, stdin=subprocess.DEVNULL))
        monkeypatch.setattr(host, "children", lambda _: [mcp, work, server])
        until_idle(servers, server)
        assert count_servers(servers, depth=1) == 1


def test_work_that_waits_for_the_processor_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, work may get almost no processor time for seconds; it does not count as a server then."""
    monkeypatch.setattr(supervisor, "IDLE", 0.05)
    monkeypatch.setattr(supervisor, "processor_seconds", lambda _: 0.0)
    endless = "print(flush=True)\nwhile True: pass"
    with (
        running("cat", stdin=subprocess.PIPE) as idle,
        running(sys.executable, "-c", endless, stdin=subprocess.PIPE) as work,
    ):
        servers = Servers()
        # Many looks: the one of the two is found idle, the other never.
        for _ in range(3):
            assert not servers.has(work)
            until_idle(servers, idle)
