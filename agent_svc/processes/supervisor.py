"""Runs one command and ends all processes that it started.

    python -I -S -c START …/supervisor.py ROOT CONTROL LOCK GRACE MEMORY WAIT PROCESSES HELD COMMAND [ARGUMENT …]

START is supervised.START, and ROOT is the folder that contains the package agent_svc.
This is a separate program that uses only the standard library, so that it starts fast and never forks inside a
gRPC process. It becomes the subreaper of all processes that the command starts, so a grandchild that calls
setsid or forks twice is still its descendant.

One runs for each command, and most of its processor time is its start. So it imports neither signal (which would import
enum), nor socket, contextlib, typing, or anything else that imports many modules.

CONTROL is the descriptor of a stream socket. The supervisor writes lines to it: "started PID", then "exited
CODE", "signalled NUMBER" or "failed MESSAGE". When it reads "stop SECONDS" from it, it sends SIGTERM to the
whole process tree, and after SECONDS it sends SIGKILL until no process is left. It does the same with a delay
of GRACE seconds when the socket closes (the service was killed), on SIGTERM, and when the command itself ends.

WAIT is the time in seconds that the supervisor waits, after a command succeeded, for the processes that it left
running, before it stops them. It does not wait for idle servers. Each time the list changes, it writes "waiting
COUNT JSON". For the processes that it then stops, it writes "left COUNT JSON". JSON lists the first command
lines. 0: it does not wait.

MEMORY is the number of bytes that the process tree may use; 0: no limit. Above that, the supervisor writes
"memory BYTES" and kills the tree. Linux only.

PROCESSES is the number of processes that the tree may have; 0: no limit. Above that, the supervisor writes
"processes COUNT" and kills the tree. HELD is 1 in a sandbox: the kernel then also refuses to start more
(unless the user is root), and abstract sockets of programs outside the sandbox are closed.

LOCK is the descriptor of a locked file. It stays open, and so locked, until the whole process tree has ended.
The supervisor's exit code is that of the command, or 128 + its signal.
"""

import ctypes
import os
import select
import sys
import time

from agent_svc.processes.limits import Limits
from agent_svc.processes.process_table import children, descendants, ignoring

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
# Exit code for a command that could not be started, as in a shell.
NOT_STARTED = 127
# Seconds between two checks for living processes while a process tree ends.
PAUSE = 0.01
# Seconds between two checks of the processes that a command left running.
WEIGH = 0.25
# Maximum bytes of a reported command line, and maximum number of command lines.
NAME_BYTES, MOST_NAMES = 200, 20
# Seconds over which a server's CPU use is measured, and the share of one CPU below which it is idle.
IDLE, IDLE_SHARE = 2.0, 0.05
# For each table in /proc/net: its name, the index and value of the field for listening, the index of the inode.
SOCKET_TABLES = (("tcp", 3, "0A", 9), ("tcp6", 3, "0A", 9), ("unix", 3, "00010000", 6))
TICK = 1.0  # Seconds. Time above this between two readings does not count: this process was frozen.
# The oom_score_adj of agents, so that the system kills an agent before a service if memory runs out.
EXPENDABLE = 500


def main(arguments: list[str]) -> int:
    """Runs the command in `arguments` and returns its exit code."""
    control = int(arguments[0])
    # The command must not inherit these descriptors: it would keep the lock and the control socket open.
    for number in (control, int(arguments[1])):
        os.set_inheritable(number, False)
    limits = Limits(int(arguments[3]), int(arguments[5]), held=arguments[6] == "1")
    return Supervisor(control, float(arguments[2]), limits, float(arguments[4])).run(arguments[7:])


class Supervisor:
    """One command, its descendants, and the service at the other end of `control`."""

    def __init__(self, control: int, grace: float, limits: Limits, wait: float) -> None:
        self._control: int | None = control
        self._grace = grace
        self._limits = limits
        self._wait = wait
        self._stopping = False
        self._main = 0
        # The command's status from waitpid.
        self._status: int | None = None
        self._signals = catch_signals()

    def run(self, command: list[str]) -> int:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # The command runs as the same user, but must not trace this process or read its memory.
        be_readable(False)
        self._main = os.fork()
        if self._main == 0:
            self._become(command)
        # The pipes must close when the command's process tree ends, not when this process does.
        silence = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(silence, number)
        self._say(f"started {self._main}")
        while self._status is None and not self._stopping:
            self._listen(self._limits.pause)
            self._reap()
            self._weigh()
        if self._status == 0 and self._wait and not self._stopping:
            self._wait_for_rest()
        self._end_tree()
        return exit_code(self._status)

    def _wait_for_rest(self) -> None:
        """Waits for processes that a successful command left running, then reports the remaining ones."""
        told, working = list[int](), self._children()
        ran, servers = Stopwatch(), Servers()
        while working and not self._stopping and ran.seconds() < self._wait:
            self._listen(min(WEIGH, self._wait))
            self._reap()
            self._weigh()
            working = [root for root in self._children() if not servers.has(root)]
            # Most remaining processes end immediately and are not reported.
            if working != told and (told or ran.seconds() >= min(TICK, self._wait)):
                told = working
                self._say(f"waiting {listed(working)}")
        if not self._stopping and (left := self._children()):
            self._say(f"left {listed(left)}")

    def _weigh(self) -> None:
        """Kills a process tree at once if it exceeds a limit, to protect the sessions of others."""
        exceeded = self._limits.exceeded(os.getpid())
        if not exceeded:
            return
        self._say(exceeded)
        self._grace = 0
        self._stopping = True

    def _become(self, command: list[str]) -> None:
        try:
            os.setsid()
            be_readable(True)
            give_way()
            self._limits.apply()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606 (the supervisor must fork by itself)
        except OSError as error:
            self._say(f"failed {error.strerror}: {command[0]}")
        finally:
            os._exit(NOT_STARTED)

    def _say(self, line: str) -> None:
        if self._control is not None:
            left = f"{line}\n".encode()
            try:
                while left:
                    left = left[os.write(self._control, left) :]
            except OSError:
                self._control = None

    def _listen(self, timeout: float | None) -> None:
        """Waits for a signal or a line from the service, at most `timeout` seconds."""
        sources = [self._signals] if self._control is None else [self._signals, self._control]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._signals in ready and signal.SIGTERM in os.read(self._signals, 512):
            self._stopping = True
        if self._control in ready:
            self._hear(self._control)

    def _hear(self, control: int) -> None:
        try:
            heard = os.read(control, 512)
        except OSError:
            heard = b""
        if heard:
            # A repeated request can only shorten the grace period.
            asked = float(heard.split()[-1])
            self._grace = min(asked, self._grace) if self._stopping else asked
        else:
            self._control = None
        self._stopping = True

    def _children(self) -> list[int]:
        return children(os.getpid()) if self._reap() else []

    def _reap(self) -> bool:
        """Collects ended children. Returns whether there may be descendants.

        On Linux, a descendant whose parent has ended is a child of this process, so without children there is none.
        Reading the table of all processes takes longer than most commands.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return sys.platform != "linux"
            if pid == 0:
                return True
            if pid == self._main:
                self._status = status
                code = os.waitstatus_to_exitcode(status)
                self._say(f"exited {code}" if code >= 0 else f"signalled {-code}")

    def _end_tree(self) -> None:
        self._stopping = True
        ran = Stopwatch()
        told: set[int] = set()
        while self._reap() and (alive := descendants(os.getpid())):
            # The grace period may be shortened while it runs.
            forced = ran.seconds() >= self._grace
            for pid in alive:
                if forced:
                    kill(pid)
                elif pid not in told:
                    send(pid, signal.SIGTERM)
            told.update(alive)
            self._listen(PAUSE)
            self._reap()
        self._reap()


class Stopwatch:
    """Measures the time in which this process could run. Must be read often."""

    def __init__(self) -> None:
        self._read = time.monotonic()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Returns the seconds since its creation, excluding the time in which this process was frozen."""
        now = time.monotonic()
        self._seconds += min(now - self._read, TICK)
        self._read = now
        return self._seconds


def catch_signals() -> int:
    """Returns a descriptor from which one byte can be read for each signal."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # The service handles Ctrl-C in a terminal and then sends "stop".
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return reading


def listed(pids: list[int]) -> str:
    """Returns the number of processes and their first command lines as JSON."""
    import json  # noqa: PLC0415 (few commands leave processes, and it takes long to import)

    return f"{len(pids)} {json.dumps([command_line(pid) for pid in pids[:MOST_NAMES]])}"


def command_line(pid: int) -> str:
    """Returns the command line of a process in readable form, or its PID if it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
            words = file.read(NAME_BYTES).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return " ".join(words.split()) or f"process {pid}"


class Servers:
    """Distinguishes idle servers, which do not exit on their own, from work. Linux only.

    A server listens on a socket or reads from a pipe, as MCP and LSP servers do, and has used almost no CPU for
    some seconds. A test run that contains a server does not count as a server. On other systems, no process
    counts as a server.
    """

    def __init__(self) -> None:
        # For each root process: when its tree was last measured, and the tree's CPU time then, in seconds.
        self._used: dict[int, tuple[float, float]] = {}
        self._idle: set[int] = set()

    def has(self, root: int) -> bool:
        """Returns whether the process tree of `root` is an idle server."""
        tree = [root, *descendants(root)]
        now, used = time.monotonic(), processor_seconds(tree)
        looked, before = self._used.setdefault(root, (now, used))
        if any(map(ready_to_run, tree)):
            # Work that a busy machine gives almost no CPU looks idle, but it is ready to run.
            self._used[root] = now, used
            self._idle.discard(root)
        elif now - looked >= IDLE:
            self._used[root] = now, used
            idle = used - before < IDLE_SHARE * (now - looked)
            (self._idle.add if idle else self._idle.discard)(root)
        # A process started with `&` reads from /dev/null.
        if root not in self._idle or opened(root, "0").startswith(("pipe:", "socket:")):
            return root in self._idle
        return any(not listening_sockets().isdisjoint(sockets_of(pid)) for pid in tree)


def ready_to_run(pid: int) -> bool:
    """Returns whether a process runs, or waits for the CPU or a disk rather than for something to do. Linux only."""
    with ignoring(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (same)
        return file.read().rpartition(b")")[2].split()[0] in {b"R", b"D"}
    return False


def processor_seconds(pids: list[int]) -> float:
    """Returns the CPU time that processes have used, in seconds. Linux only; 0 on other systems."""
    ticks = 0
    for pid in pids:
        with ignoring(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (same)
            ticks += sum(map(int, file.read().rpartition(b")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def listening_sockets() -> set[str]:
    """Returns the listening sockets as the link targets that appear in /proc/PID/fd."""
    found = set()
    for name, state, listens, inode in SOCKET_TABLES:
        with ignoring(OSError), open(f"/proc/self/net/{name}") as table:  # noqa: PTH123 (same)
            next(table, None)
            for line in table:
                fields = line.split()
                if len(fields) > inode and fields[state] == listens:
                    found.add(f"socket:[{fields[inode]}]")
    return found


def opened(pid: int, number: str) -> str:
    """Returns the link target of a process's descriptor, or "" if it cannot be read."""
    with ignoring(OSError):
        return os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 (same)
    return ""


def sockets_of(pid: int) -> set[str]:
    """Returns the link targets of all descriptors of a process."""
    with ignoring(OSError):
        return {opened(pid, number) for number in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 (same)
    return set()


def be_readable(readable: bool) -> None:
    """Says whether other processes of this user may inspect this one (what it executes: always). Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(readable), 0, 0, 0)


def give_way() -> None:
    """Makes the system kill this process and its children before a service if memory runs out."""
    with ignoring(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (same)
        file.write(str(EXPENDABLE))


def kill(pid: int) -> None:
    """Kills a process. In a sandbox with its own process IDs, kills all others at once: a fork bomb outruns a list."""
    send(-1 if os.getpid() == 1 else pid, signal.SIGKILL)


def send(pid: int, number: int) -> None:
    """Sends a signal. Does nothing if the process has already ended."""
    with ignoring(ProcessLookupError):
        os.kill(pid, number)


def exit_code(status: int | None) -> int:
    """Returns the shell exit code for a status from waitpid. None (never reaped) counts as killed."""
    if status is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
