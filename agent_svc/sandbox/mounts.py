"""Defines which parts of the file system a sandbox shows, as arguments for bubblewrap. Pure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/")
DEVICES: Final = Path("/dev")


class Mount(NamedTuple):
    """The content of a path in the sandbox: `source` in the real file system, or an empty folder."""

    # None: an empty folder.
    source: Path | None
    writable: bool = False


class Mounts:
    """The whole file system, read-only except where specified. The last call for a path takes effect."""

    def __init__(self) -> None:
        self._at: dict[Path, Mount] = {ROOT: Mount(ROOT)}
        self._visible: set[Path] = set()

    def empty(self, path: Path) -> None:
        """Shows a folder as empty."""
        self._at[path] = Mount(None)

    def read_only(self, path: Path, source: Path | None = None) -> None:
        """Shows a path, or `source` in its place, as read-only, even below a writable or hidden path."""
        self._at[path] = Mount(source or path)

    def writable(self, path: Path, source: Path | None = None) -> None:
        """Shows a path, or `source` in its place, as writable."""
        self._at[path] = Mount(source or path, writable=True)

    def visible(self, paths: Iterable[Path]) -> None:
        """Shows paths as read-only if a parent is hidden or replaced. Otherwise they are visible anyway."""
        self._visible.update(paths)

    def arguments(self) -> list[str]:
        """Returns the arguments for bubblewrap, parents before their children."""
        at = dict(self._at)
        for path in sorted(self._visible - at.keys(), key=_depth):
            above = next(each for each in path.parents if each in at)
            if at[above].source != above:
                at[path] = Mount(path)
        arguments: list[str] = []
        # Mount points can be created in a folder only while it is writable, so it becomes read-only at the end.
        closed: list[str] = []
        for path in sorted(at, key=_depth):
            mount = at[path]
            if mount.source is None:
                arguments += ["--tmpfs", str(path)]
                closed += ["--remount-ro", str(path)]
            else:
                arguments += [_option(path, mount), str(mount.source), str(path)]
            if path == ROOT:
                arguments += ["--dev", str(DEVICES)]
        return arguments + closed


def _option(path: Path, mount: Mount) -> str:
    if not mount.writable:
        return "--ro-bind"
    # Outside /dev, device files cannot be used, even those that a session creates.
    return "--dev-bind" if DEVICES in path.parents else "--bind"


def _depth(path: Path) -> tuple[str, ...]:
    return path.parts
