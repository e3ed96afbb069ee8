"""Limits of a process tree, and what closes it off. Uses only the standard library, as the supervisor does."""

import ctypes
import os

from agent_svc.processes.process_table import descendants, memory_of

# Seconds between two checks of a tree's memory use; of the number of its processes, in a sandbox that has its own
# process IDs; and of that number where all processes of the machine must be read.
MEMORY_PAUSE, PAUSE, MACHINE_PAUSE = 0.25, 1.0, 2.0
# Threads that the kernel allows for each process of the limit.
THREADS = 8
# The system calls of Landlock, and its restriction to abstract sockets of the same sandbox (Linux 6.12).
LANDLOCK_CREATE, LANDLOCK_RESTRICT, ABSTRACT_SOCKETS = 444, 446, 1


class Limits:
    """What a process tree may use: bytes of memory and number of processes, 0 for no limit."""

    def __init__(self, memory: int, processes: int, *, held: bool) -> None:
        self.memory = memory
        self.processes = processes
        self.held = held

    @property
    def pause(self) -> float | None:
        """The seconds between two checks; None: there is no limit to check."""
        if self.memory:
            return MEMORY_PAUSE
        return (PAUSE if os.getpid() == 1 else MACHINE_PAUSE) if self.processes else None

    def exceeded(self, root: int) -> str:
        """Returns the name of the first limit that the descendants of `root` exceed, with what they use; or ""."""
        # On a machine with fewer threads, no tree can have more processes, and reading one number is cheap.
        processes = self.processes if threads_of_machine() > self.processes else 0
        if not (self.memory or processes):
            return ""
        tree = descendants(root)
        if processes and len(tree) > processes:
            return f"processes {len(tree)}"
        if self.memory and (used := memory_of(tree)) > self.memory:
            return f"memory {used}"
        return ""

    def apply(self) -> None:
        """Makes the kernel enforce for this process and its children what it can enforce."""
        if not self.held:
            return
        close_abstract_sockets()
        if self.processes:
            import resource  # noqa: PLC0415 (for the supervisor, which starts often)

            # Counted for a user within the sandbox's own user namespace, and threads count too.
            most = self.processes * THREADS
            _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def threads_of_machine() -> int:
    """Returns the number of threads of all processes of the machine; a very large number if it is not known."""
    try:
        with open("/proc/loadavg", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
            return int(file.read().split()[3].partition(b"/")[2])
    except OSError:
        return 1 << 62


def close_abstract_sockets() -> None:
    """Closes the abstract sockets of programs outside the sandbox to this process. An older Linux cannot."""
    libc = ctypes.CDLL(None)
    # struct landlock_ruleset_attr: no rules for files and for ports.
    attributes = (ctypes.c_uint64 * 3)(0, 0, ABSTRACT_SOCKETS)
    ruleset = libc.syscall(LANDLOCK_CREATE, attributes, ctypes.sizeof(attributes), 0)
    if ruleset >= 0:
        # bubblewrap has set no_new_privs, without which this would be refused.
        libc.syscall(LANDLOCK_RESTRICT, ruleset, 0)
        os.close(ruleset)
