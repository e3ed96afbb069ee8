"""Heddle's programs as processes that start immediately: each is forked from one process that has imported them.

Their imports take a second of processor time, and tests start hundreds. Apart from that the process is
like one of `python -m SERVICE` or `heddle`: with its own environment, folder, session and files.
"""

import atexit
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

from heddle import failpoints

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_IMPORTED: Final = (
    "scheduler_svc.app",
    "worktree_svc.app",
    "agent_svc.app",
    "ui_svc.app",
    "heddle.cli.app",
    # Modules that services and commands import late.
    "alembic.command",
    "heddle.drafts.verdict",
    "heddle.plan.yaml.reading",
    "heddle.plan.yaml.conversion",
    "heddle.plan.yaml.writing",
    "typer._adapters",
)
# The maximum size of a request in bytes: larger than any environment.
_MOST_BYTES: Final = 1 << 20


class Process:
    """A started program; has the part of `subprocess.Popen` that tests use."""

    def __init__(self, forker: "_Forker", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forker = forker
        self._mutex = threading.Lock()
        file = os.pidfd_open(pid)
        weakref.finalize(self, os.close, file)
        self._end = select.poll()
        self._end.register(file, select.POLLIN)

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while it runs."""
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code once it has ended; raises TimeoutExpired after that many seconds."""
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        return code

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and self._end.poll(None if seconds is None else seconds * 1000):
            with self._mutex:
                if self.returncode is None:
                    self.returncode = self._forker.ask({"reap": self.pid})
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


# A program that was started either way: warm, or as users start it.
Started: TypeAlias = "subprocess.Popen[bytes] | Process"


def start(
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int,
    stderr: int,
) -> Process:
    """Starts `python -m MODULE ARGUMENTS`. The files are descriptors, which the caller closes."""
    request = {
        "module": module,
        "arguments": arguments,
        "environment": dict(env),
        "folder": str(cwd or Path.cwd()),
    }
    forker = _forker()
    with Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno() if stdin == subprocess.DEVNULL else stdin, stdout, stderr]
        return Process(forker, forker.ask(request, files))


@cache
def _forker() -> "_Forker":
    return _Forker()


class _Forker:
    """The process that forks. It ends with this one, together with the processes that it started."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(
            command, stdin=theirs.fileno(), cwd=_CHECKOUT, env=inherited, start_new_session=True
        )
        theirs.close()
        self._mutex = threading.Lock()
        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def ask(self, request: Mapping[str, object], files: Sequence[int] = ()) -> Any:
        with self._mutex:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            return json.loads(self._socket.recv(_MOST_BYTES))


def _serve(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Answers until the tests end. In a new process, returns the program to run there."""
    running: set[int] = set()
    while True:
        words, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, 3)
        if not words:
            break
        request = json.loads(words)
        if "reap" in request:
            pid, status = os.waitpid(request["reap"], 0)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                return request, files
            running.add(answer)
            for each in files:
                os.close(each)
        requests.sendall(json.dumps(answer).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def _become(
    files: Sequence[int],
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
) -> None:
    """Turns this process into the process of a program; returns at its end."""
    os.setsid()
    # Shown by ps and top.
    Path("/proc/self/comm").write_text(module)
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    failpoints.arm(environment.get("HEDDLE_FAILPOINT", ""))
    if encoding := environment.get("PYTHONIOENCODING"):
        # A new interpreter does the same at its start.
        for stream in (sys.stdout, sys.stderr):
            assert isinstance(stream, io.TextIOWrapper)
            stream.reconfigure(encoding=encoding, errors=stream.errors)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, int):
            # The end of an interpreter, except that memory which is shared with other processes is not freed: that would copy it.
            threading._shutdown()  # type: ignore[attr-defined]  # the stubs lack it
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(ended.code)
        raise


if __name__ == "__main__":
    for _each in _IMPORTED:
        import_module(_each)
    # These objects are never garbage; a process whose collector examined them would have to copy them.
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as _requests:
        _wanted = _serve(_requests)
    if _wanted is not None:
        _become(_wanted[1], **_wanted[0])
