"""Runs one command and leaves no process of it running.

    python -I -S supervisor.py CONTROL LOCK GRACE MEMORY WAIT COMMAND [ARGUMENT …]

A program of its own, with only the standard library, so that it starts fast and
never forks inside a gRPC process. It becomes the subreaper of all that the command
starts, so a grandchild that calls setsid or forks twice still is its descendant.

CONTROL is the number of a stream socket. The supervisor writes lines to it:
"started PID", then "exited CODE", "signalled NUMBER" or "failed MESSAGE". It reads
"stop SECONDS" from it: SIGTERM to the whole tree, and after so many seconds SIGKILL
until none is left. The same happens after GRACE seconds when the socket closes (the
service was killed), on SIGTERM, and when the command itself ended.

WAIT is how many seconds the supervisor waits, after a command that ended well, for
what that left running, before it stops it. Idle servers are not waited for. Each time
the list changes, it writes "waiting COUNT JSON", and "left COUNT JSON" for what it
then stops; JSON lists the first command lines. 0: it waits for nothing.

MEMORY is how many bytes the tree may use; 0: as many as it likes. Above that, the
supervisor writes "memory BYTES" and kills the tree. Linux only.

LOCK is the number of a locked file that stays open, so locked, until the whole tree
is gone. The supervisor exits as the command did: its code, or 128 + its signal.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
# Exit code of a command that could not be started, as in a shell.
NOT_STARTED = 127
# Seconds between two looks at what is still alive while a tree ends.
PAUSE = 0.01
# Seconds between two looks at how much memory a tree uses, or at what a command left running.
WEIGH = 0.25
# Bytes of a command line that are reported, and how many command lines.
NAME_BYTES, MOST_NAMES = 200, 20
# Seconds over which a server's use of processors is looked at, and the share of one up to which it is idle.
IDLE, IDLE_SHARE = 2.0, 0.05
# Of /proc/net: a table, its field that shows whether a socket listens, what is in it then, the inode's field.
SOCKET_TABLES = (("tcp", 3, "0A", 9), ("tcp6", 3, "0A", 9), ("unix", 3, "00010000", 6))
TICK = 1.0  # Seconds. What exceeds it between two looks does not count: this process was frozen.
# How much rather than a service the system ends an agent where memory runs out.
EXPENDABLE = 500


def main(arguments: list[str]) -> int:
    """Runs the command of `arguments`; returns its exit code."""
    control = socket.socket(fileno=int(arguments[0]))
    # Neither end of these may reach the command: it would hold the lock and the lifeline.
    for number in (control.fileno(), int(arguments[1])):
        os.set_inheritable(number, False)
    supervisor = Supervisor(control, float(arguments[2]), int(arguments[3]), float(arguments[4]))
    return supervisor.run(arguments[5:])


class Supervisor:
    """One command, its descendants, and the service at the other end of `control`."""

    def __init__(self, control: socket.socket, grace: float, memory: int, wait: float) -> None:
        self._control: socket.socket | None = control
        self._grace = grace
        self._memory = memory
        self._wait = wait
        self._stopping = False
        self._main = 0
        # Of the command, as waitpid gave it.
        self._status: int | None = None
        self._signals = catch_signals()

    def run(self, command: list[str]) -> int:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # The command, of the same user, must not trace this process or read its memory.
        be_readable(False)
        self._main = os.fork()
        if self._main == 0:
            self._become(command)
        # The pipes end when the command's tree has ended, not when this process has.
        silence = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(silence, number)
        self._say(f"started {self._main}")
        while self._status is None and not self._stopping:
            self._listen(WEIGH if self._memory else None)
            self._reap()
            self._weigh()
        if self._status == 0 and self._wait and not self._stopping:
            self._wait_for_rest()
        self._end_tree()
        return exit_code(self._status)

    def _wait_for_rest(self) -> None:
        """Waits for what a successful command left running; reports what is left then."""
        told, working = list[int](), children(os.getpid())
        ran, servers = Stopwatch(), Servers()
        while working and not self._stopping and ran.seconds() < self._wait:
            self._listen(min(WEIGH, self._wait))
            self._reap()
            self._weigh()
            working = [root for root in children(os.getpid()) if not servers.has(root)]
            # Most of what is left ends at once.
            if working != told and (told or ran.seconds() >= min(TICK, self._wait)):
                told = working
                self._say(f"waiting {listed(working)}")
        if not self._stopping and (left := children(os.getpid())):
            self._say(f"left {listed(left)}")

    def _weigh(self) -> None:
        """Ends a tree that uses more memory than it may, at once: it would take that of others."""
        if not self._memory or (used := memory_of(descendants(os.getpid()))) <= self._memory:
            return
        self._say(f"memory {used}")
        self._grace = 0
        self._stopping = True

    def _become(self, command: list[str]) -> None:
        try:
            os.setsid()
            be_readable(True)
            give_way()
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
            try:
                self._control.sendall(f"{line}\n".encode())
            except OSError:
                self._control = None

    def _listen(self, timeout: float | None) -> None:
        """Waits for a signal or a word of the service, at most `timeout` seconds."""
        sources = [self._signals] if self._control is None else [self._signals, self._control.fileno()]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._signals in ready and signal.SIGTERM in os.read(self._signals, 512):
            self._stopping = True
        if self._control is not None and self._control.fileno() in ready:
            self._hear(self._control)

    def _hear(self, control: socket.socket) -> None:
        try:
            heard = control.recv(512)
        except OSError:
            heard = b""
        if heard:
            # Said again, it may only hurry.
            asked = float(heard.split()[-1])
            self._grace = min(asked, self._grace) if self._stopping else asked
        else:
            self._control = None
        self._stopping = True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._main:
                self._status = status
                code = os.waitstatus_to_exitcode(status)
                self._say(f"exited {code}" if code >= 0 else f"signalled {-code}")

    def _end_tree(self) -> None:
        self._stopping = True
        ran = Stopwatch()
        told: set[int] = set()
        while alive := descendants(os.getpid()):
            # The grace period may be cut short while it runs.
            forced = ran.seconds() >= self._grace
            for pid in alive:
                if forced:
                    send(pid, signal.SIGKILL)
                elif pid not in told:
                    send(pid, signal.SIGTERM)
            told.update(alive)
            self._listen(PAUSE)
            self._reap()
        self._reap()


class Stopwatch:
    """Counts time in which this process could run, if it is read often."""

    def __init__(self) -> None:
        self._read = time.monotonic()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Returns the seconds since it was made, without those in which everything here was frozen."""
        now = time.monotonic()
        self._seconds += min(now - self._read, TICK)
        self._read = now
        return self._seconds


def catch_signals() -> int:
    """Makes signals readable; returns the descriptor that gives one byte for each."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # A terminal's Ctrl-C is the service's to handle; it says "stop" then.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return reading


def descendants(root: int) -> list[int]:
    """Returns all living descendants of `root`, parents before children; zombies are dead.

    A parent that is signalled first does not take its child's end for a result.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            # Pids that are used again while /proc is read could form a circle.
            if pid not in found:
                found.append(pid)
                waiting.append(pid)
    return found


def children(root: int) -> list[int]:
    """Returns the living children of `root`."""
    return [pid for pid, parent in parents() if parent == root]


def listed(pids: list[int]) -> str:
    """Returns how many processes there are, and the first command lines as JSON."""
    return f"{len(pids)} {json.dumps([command_line(pid) for pid in pids[:MOST_NAMES]])}"


def command_line(pid: int) -> str:
    """Returns the command line of a process, as people read it; its number where it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
            words = file.read(NAME_BYTES).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return " ".join(words.split()) or f"process {pid}"


class Servers:
    """Distinguishes servers, which do not end by themselves, from work. Linux only; elsewhere nothing counts as a server.

    A server listens on a socket or reads from a pipe, as those of MCP and LSP do, and has
    used next to nothing of a processor for some seconds. A test run that contains a server does not count as one.
    """

    def __init__(self) -> None:
        # By the first process of a tree: when it was looked at, and what it had used then, in seconds.
        self._used: dict[int, tuple[float, float]] = {}
        self._idle: set[int] = set()

    def has(self, root: int) -> bool:
        """Says whether the tree of `root` is an idle server."""
        tree = [root, *descendants(root)]
        now, used = time.monotonic(), processor_seconds(tree)
        looked, before = self._used.setdefault(root, (now, used))
        if now - looked >= IDLE:
            self._used[root] = now, used
            idle = used - before < IDLE_SHARE * (now - looked)
            (self._idle.add if idle else self._idle.discard)(root)
        # What `&` started reads from /dev/null.
        if root not in self._idle or opened(root, "0").startswith(("pipe:", "socket:")):
            return root in self._idle
        return any(not listening_sockets().isdisjoint(sockets_of(pid)) for pid in tree)


def processor_seconds(pids: list[int]) -> float:
    """Returns what processes have used of processors; Linux only, elsewhere 0."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (same)
            ticks += sum(map(int, file.read().rpartition(b")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def listening_sockets() -> set[str]:
    """Returns the links by which processes hold the sockets that listen here."""
    found = set()
    for name, state, listens, inode in SOCKET_TABLES:
        with contextlib.suppress(OSError), open(f"/proc/self/net/{name}") as table:  # noqa: PTH123 (same)
            next(table, None)
            for line in table:
                fields = line.split()
                if len(fields) > inode and fields[state] == listens:
                    found.add(f"socket:[{fields[inode]}]")
    return found


def opened(pid: int, number: str) -> str:
    """Returns the link of a file that a process has open; empty if it cannot be seen."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 (same)
    return ""


def sockets_of(pid: int) -> set[str]:
    """Returns the links of the files that a process has open."""
    with contextlib.suppress(OSError):
        return {opened(pid, number) for number in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 (same)
    return set()


def parents() -> list[tuple[int, int]]:
    """Returns (pid, parent) of every living process."""
    if sys.platform != "linux":
        return parents_by_ps()
    pairs = []
    for name in os.listdir("/proc"):  # noqa: PTH208 (pathlib would double the time to start)
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 (same)
                    # The command's name may hold spaces and brackets; the last bracket ends it.
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if state not in b"ZX":
                pairs.append((int(name), int(parent)))
    return pairs


def parents_by_ps() -> list[tuple[int, int]]:
    """Asks ps, where there is no /proc. The ps itself is gone by then."""
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE) as ps:
        lines = ps.communicate()[0].decode().splitlines()
        fields = [line.split() for line in lines]
        return [
            (int(pid), int(parent)) for pid, parent, stat in fields if int(pid) != ps.pid and stat[0] != "Z"
        ]


def memory_of(pids: list[int]) -> int:
    """Returns the bytes that processes have in memory for themselves alone; Linux only, elsewhere 0."""
    pages = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
                _, resident, shared = file.read().split()[:3]
        except OSError:
            continue
        pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE")


def be_readable(readable: bool) -> None:
    """Lets other processes of this user look into this one, or not; what is executed next always does. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(readable), 0, 0, 0)


def give_way() -> None:
    """Has the system end this process, and what it starts, rather than a service where memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (same)
        file.write(str(EXPENDABLE))


def send(pid: int, number: int) -> None:
    """Sends a signal; a process that has ended by itself needs none."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def exit_code(status: int | None) -> int:
    """Returns what a shell would, for a status of waitpid. None, never reaped: as if killed."""
    if status is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
