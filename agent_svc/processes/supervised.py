"""Starts commands under a supervisor and reports when their whole process tree has ended."""

import asyncio
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

import psutil
import structlog

from agent_svc.processes import process_table, supervisor
from heddle.rpc import service_process

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PR_GET_CHILD_SUBREAPER: Final = 37

# Unread bytes of output after which the command is blocked.
READ_LIMIT: Final = 64 << 10

# Seconds to read the remaining output once the process tree has ended.
DRAIN: Final = 2.0

# Seconds between two checks for remaining processes that are being killed.
PAUSE: Final = 0.01

# Whether processes that a supervisor leaves become children of this process or of their supervisor. Otherwise,
# as on macOS, they are found by their environment.
HAS_SUBREAPERS = sys.platform == "linux"

# The PID of a process in each enclosing PID namespace; the one in its own namespace is last.
NUMBERS: Final = re.compile(r"^NSpid:\t(.*)$", re.MULTILINE)

# The folder that contains this package, for the supervisor, which starts without any.
ROOT: Final = str(Path(__file__).resolve().parents[2])

# Starts the supervisor at the path in its first argument. As a module, unlike as a script, it is not compiled each time.
START: Final = """
import os, sys
folder, _, name = sys.argv[1].rpartition("/")
sys.path += [folder, sys.argv[2]]
os._exit(__import__(name[:-3]).main(sys.argv[3:]))
"""


class Exit(NamedTuple):
    """How a command ended. Without code and signal, it never ran or its supervisor was killed."""

    code: int | None = None
    signal: int | None = None
    # Why the command could not be started. Empty: it was started.
    error: str = ""
    # Bytes that the process tree used when it was killed for using too much. 0: it was not.
    memory: int = 0
    # The number of its processes when it was killed for having too many. 0: it was not.
    processes: int = 0

    @property
    def lost(self) -> bool:
        """True if the end of the command was not observed."""
        return self.code is None and self.signal is None and not self.error and not self.exceeded

    @property
    def exceeded(self) -> str:
        """What the process tree used when it was killed for using too much; empty: it was not."""
        if self.memory:
            return f"used {self.memory >> 20} MiB of memory, more than HEDDLE_AGENT_MEMORY allows"
        if self.processes:
            return f"had {self.processes} processes, more than HEDDLE_AGENT_PROCESSES allows"
        return ""

    @property
    def shell_code(self) -> int | None:
        """The exit code expected of the supervisor, or None if it did not report how the command ended."""
        if self.error:
            return supervisor.NOT_STARTED
        return self.code if self.signal is None else 128 + self.signal


class Rest(NamedTuple):
    """The processes that a command left running. They are waited for, or, with `stopped`, ended."""

    # The first command lines, and the total number of processes.
    commands: list[str]
    total: int
    stopped: bool


class Gone(Protocol):
    """Records that a supervisor has ended. `clean` is true if it ended its process tree first."""

    async def __call__(self, pid: int, *, clean: bool) -> None: ...


@dataclass(frozen=True)
class Command:
    """A command to run, with its folder, environment and limits."""

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    # Default time between SIGTERM and SIGKILL, in seconds.
    grace: float
    # The descriptor of a file that stays locked until the process tree has ended.
    lock: int
    # Bytes of memory that the process tree may use. 0: no limit.
    memory: int = 0
    # The arguments that start the supervisor in a sandbox. The last one ends its options. Empty: no sandbox.
    wrapper: Sequence[str] = ()
    # The filter of system calls for bubblewrap. Empty: none.
    system_calls: bytes = b""
    # Processes that the process tree may have. 0: no limit.
    processes: int = 0
    # Seconds to wait for processes that a successful command left running. 0: end them at once.
    wait: float = 0


class Supervised:
    """A command that runs under a supervisor, with its output as streams."""

    def __init__(self, process: subprocess.Popen[bytes], gone: "Gone", *, wrapped: bool) -> None:
        self._process = process
        self._wrapped = wrapped
        self._gone = gone
        self._exit = Exit()
        self._transports: list[asyncio.BaseTransport] = []
        self._stdin: asyncio.WriteTransport | None = None
        self._reports = asyncio.StreamReader()
        self._control: asyncio.StreamWriter | None = None
        # Called once the command has succeeded: with the processes to wait for, then with those to stop.
        self.on_rest: Callable[[Rest], Awaitable[None]] | None = None
        # The PID of the command in this process's namespace. 0 until the command is started.
        self.pid = 0
        self.stdout = asyncio.StreamReader(READ_LIMIT)
        # Empty if stderr is joined with stdout.
        self.stderr = asyncio.StreamReader(READ_LIMIT)

    async def connect(self, control: socket.socket) -> None:
        """Connects the pipes and the control socket to the event loop."""
        loop = asyncio.get_running_loop()
        self._reports, self._control = await asyncio.open_connection(sock=control)
        for pipe, stream in ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr)):
            if pipe is None:
                stream.feed_eof()
            else:
                transport, _ = await loop.connect_read_pipe(
                    partial(asyncio.StreamReaderProtocol, stream), pipe
                )
                self._transports.append(transport)
        if self._process.stdin is not None:
            self._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self._process.stdin)
            self._transports.append(self._stdin)

    def write(self, data: bytes) -> None:
        """Writes `data` to the command's standard input. Drops the data if the command no longer reads."""
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(data)

    @property
    def unread(self) -> int:
        """Bytes of input that wait until the command reads them."""
        return self._stdin.get_write_buffer_size() if self._stdin else 0

    async def started(self) -> int:
        """Returns the command's PID, or 0 if its supervisor died at once."""
        await self._report()
        return self.pid

    def stop(self, grace: float) -> None:
        """Requests the end of the whole process tree. A second call can only shorten the grace period."""
        if self._control is not None:
            self._control.write(f"stop {grace:f}\n".encode())

    async def wait(self) -> Exit:
        """Returns how the command ended, once it and all its descendants have ended."""
        while await self._report():
            pass
        # The supervisor closes the control socket only when it exits.
        code = await asyncio.to_thread(self._process.wait)
        if self._control is not None:
            self._control.close()
        await self._gone(self._process.pid, clean=code == self._exit.shell_code)
        return self._exit

    async def close(self, *readers: asyncio.Task[None]) -> None:
        """Waits for the tasks that read the output. Closes pipes that an unrelated process keeps open.

        The readers still receive all output read by then, however slow they are.
        """
        await asyncio.wait(readers, timeout=DRAIN)
        for transport in self._transports:
            transport.close()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _report(self) -> bool:
        try:
            line = await self._reports.readline()
        except ConnectionError:
            return False
        word, _, rest = line.decode().rstrip("\n").partition(" ")
        match word:
            case "started":
                self.pid = int(rest)
                if self._wrapped:
                    self.pid = await asyncio.to_thread(_own_number, self._process.pid, self.pid)
            case "exited" if not self._exit.error:
                self._exit = self._exit._replace(code=int(rest))
            case "signalled":
                self._exit = self._exit._replace(signal=int(rest))
            case "memory" | "processes":
                used = int(rest)
                self._exit = Exit(memory=used) if word == "memory" else Exit(processes=used)
            case "failed":
                self._exit = Exit(error=rest)
            case "waiting" | "left":
                total, _, names = rest.partition(" ")
                if self.on_rest is not None:
                    await self.on_rest(Rest(json.loads(names), int(total), stopped=word == "left"))
        return bool(line)


class Supervisors:
    """Starts and tracks all supervisors of this process."""

    def __init__(self, spared: Callable[[], Iterable[int]] = tuple) -> None:
        self._pids: set[int] = set()
        # Returns the other children of this process, which are not orphans.
        self._spared = spared
        # The search for orphans must not mistake a supervisor that was just forked for one.
        self._spawning = asyncio.Lock()

    async def start(
        self, command: Command, *, stdin: int | IO[bytes], join_streams: bool = False
    ) -> Supervised:
        """Starts `command`. Raises OSError or ValueError if that fails, for example for a missing folder.

        If this process ends for any reason, the command's process tree outlives it by the grace
        period at most.
        """
        ours, theirs = socket.socketpair()
        try:
            async with self._spawning:
                process = await asyncio.to_thread(_spawn, command, theirs.fileno(), stdin, join_streams)
                self._pids.add(process.pid)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        gone = partial(self._gone, marker=command.environment.get("TMPDIR", ""))
        supervised = Supervised(process, gone, wrapped=bool(command.wrapper))
        await supervised.connect(ours)
        return supervised

    async def _gone(self, pid: int, *, clean: bool, marker: str) -> None:
        self._pids.discard(pid)
        if not clean:
            log.warning("supervisor_lost", pid=pid)
            await self._end_orphans()
        if not HAS_SUBREAPERS and marker:
            # A process that called setsid and whose parent has ended is no descendant any more.
            await end_marked("TMPDIR", marker)

    async def _end_orphans(self) -> None:
        """Kills the processes that a killed supervisor left. This process, a subreaper, is now their parent."""
        if not _is_subreaper():
            return
        async with self._spawning:
            spared = {*self._pids, *self._spared()}
            while orphans := [pid for pid in _children() if pid not in spared]:
                _kill(orphans)
                for pid in orphans:
                    _reap(pid)
                await asyncio.sleep(PAUSE)


def _spawn(
    command: Command, control: int, stdin: int | IO[bytes], join_streams: bool
) -> subprocess.Popen[bytes]:
    with _system_call_filter(command) as (wrapper, files):
        return subprocess.Popen(
            [
                *wrapper,
                sys.executable,
                "-I",
                "-S",
                "-c",
                START,
                supervisor.__file__,
                ROOT,
                str(control),
                str(command.lock),
                str(command.grace),
                str(command.memory),
                f"{command.wait:f}",
                str(command.processes),
                str(int(bool(command.wrapper))),
                *command.arguments,
            ],
            cwd=command.folder,
            env=dict(command.environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if join_streams else subprocess.PIPE,
            pass_fds=(control, command.lock, *files),
            start_new_session=True,
            umask=service_process.umask_of_user(),
            bufsize=0,
        )


@contextlib.contextmanager
def _system_call_filter(command: Command) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
    """Yields the wrapper with the filter, and the descriptors that it reads; closes them after the block."""
    if not (command.wrapper and command.system_calls):
        yield command.wrapper, ()
        return
    # The filter is shorter than the buffer of a pipe.
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(command.system_calls)
        *options, end = command.wrapper
        yield [*options, "--seccomp", str(reading), end], (reading,)
    finally:
        os.close(reading)


def _own_number(root: int, told: int) -> int:
    """Returns the PID, in this namespace, of the descendant of `root` that reports `told` as its PID.

    A sandbox has its own PIDs. Returns 0 if the process has ended.
    """
    for found in (process_table.near_descendants, process_table.descendants):
        for pid in found(root):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text(errors="replace")
                if (numbers := NUMBERS.search(status)) and int(numbers[1].split()[-1]) == told:
                    return pid
    return 0


async def end_marked(variable: str, value: str) -> None:
    """Kills every process whose environment contains `variable` = `value`, and its descendants."""
    while marked := await asyncio.to_thread(_marked, variable, value):
        _kill(marked)
        await asyncio.sleep(PAUSE)


def _marked(variable: str, value: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _children() -> list[int]:
    return [child.pid for child in psutil.Process().children()]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _kill(roots: Iterable[int]) -> None:
    for root in roots:
        for pid in (root, *process_table.descendants(root)):
            supervisor.send(pid, signal.SIGKILL)


def become_subreaper() -> None:
    """Makes this process the parent of processes that a killed supervisor leaves. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(supervisor.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _is_subreaper() -> bool:
    if sys.platform != "linux":
        return False
    answer = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)
