"""Services as processes that start at once: each is forked from one process that has imported all of them.

What they import takes a second of processor, and tests start hundreds. Apart from that the process is
as `python -m SERVICE` makes it: with an environment, a folder, a session and a log of its own.
"""

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from heddle import failpoints

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_IMPORTED: Final = ("scheduler_svc", "worktree_svc", "agent_svc", "ui_svc")


class Process:
    """A started service; has what tests use of `subprocess.Popen`."""

    def __init__(self, forker: "_Forker", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forker = forker

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._forker.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code once it has ended; raises TimeoutExpired after so many seconds."""
        if self.poll() is None:
            file = os.pidfd_open(self.pid)
            try:
                ended, _, _ = select.select([file], [], [], timeout)
            finally:
                os.close(file)
            if not ended:
                raise subprocess.TimeoutExpired("service", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(service: str, environment: Mapping[str, str], folder: Path, log: Path) -> Process:
    """Starts a service that works in `folder`; its output is added to `log`."""
    forker = _forker()
    words = {"service": service, "environment": dict(environment), "folder": str(folder), "log": str(log)}
    return Process(forker, forker.ask(start=words))


@cache
def _forker() -> "_Forker":
    return _Forker()


class _Forker:
    """The process that forks. It ends with this one, and takes along what it started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(
            command, stdin=theirs.fileno(), cwd=_CHECKOUT, env=inherited, start_new_session=True
        )
        theirs.close()
        self._socket = ours
        self._answers = ours.makefile("r")
        self._mutex = threading.Lock()

    def ask(self, **request: object) -> Any:
        with self._mutex:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(self._answers.readline())


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Answers until the tests are over. In a new process, returns what is to become of it."""
    running: set[int] = set()
    for line in requests.makefile("r"):
        request = json.loads(line)
        answer: int | None = None
        if "start" in request:
            answer = os.fork()
            if answer == 0:
                wanted: dict[str, Any] = request["start"]
                return wanted
            running.add(answer)
        else:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            if pid:
                running.discard(pid)
                answer = os.waitstatus_to_exitcode(status)
        requests.sendall(json.dumps(answer).encode() + b"\n")
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def _become(service: str, environment: Mapping[str, str], folder: str, log: str) -> None:
    """Turns this process into a service's; returns when that has served."""
    os.setsid()
    for place, path, how in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        file = os.open(path, how, 0o644)
        os.dup2(file, place)
        os.close(file)
    os.dup2(1, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    failpoints.arm(environment.get("HEDDLE_FAILPOINT", ""))
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for _each in _IMPORTED:
        import_module(f"{_each}.app")
    with socket.socket(fileno=os.dup(0)) as _requests:
        _wanted = _serve(_requests)
    if _wanted is not None:
        _become(**_wanted)
