"""Reads the table of processes. Uses only the standard library, because the supervisor starts with nothing else."""

import os
import sys


class ignoring:  # noqa: N801 (used as a function)
    """Ignores exceptions of one class in its block, as contextlib.suppress does, which takes long to import."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        """Begins the block."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._kind)


def descendants(root: int) -> list[int]:
    """Returns all living descendants of `root`, parents before children. Zombies are excluded.

    If the parent is signalled first, it does not treat the end of its child as a result.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            # PIDs that are reused while /proc is read could form a cycle.
            if pid not in found:
                found.append(pid)
                waiting.append(pid)
    return found


def near_descendants(root: int) -> list[int]:
    """Returns descendants of `root` without reading the table of all processes. Linux only; empty on other systems.

    The kernel may leave some out while processes start or end, so this is only for looking for one of them.
    """
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
                below = [int(word) for word in file.read().split()]
        except OSError:  # it has ended, or the kernel has no such list
            continue
        found += below
        waiting += below
    return found


def children(root: int) -> list[int]:
    """Returns the living children of `root`."""
    return [pid for pid, parent in parents() if parent == root]


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
    """Returns the same as `parents` from ps, for systems without /proc. Excludes ps itself."""
    import subprocess  # noqa: PLC0415 (takes long to import, and is needed on other systems only)

    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE) as ps:
        lines = ps.communicate()[0].decode().splitlines()
        fields = [line.split() for line in lines]
        return [
            (int(pid), int(parent)) for pid, parent, stat in fields if int(pid) != ps.pid and stat[0] != "Z"
        ]


def memory_of(pids: list[int]) -> int:
    """Returns the unshared resident memory of processes, in bytes. Linux only; 0 on other systems."""
    pages = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 (pathlib would double the time to start)
                _, resident, shared = file.read().split()[:3]
        except OSError:
            continue
        pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE")
