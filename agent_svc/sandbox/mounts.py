"""Defines which parts of the file system a sandbox shows. Pure.

`resolved` is the description of the boundary that each kind of sandbox enforces by its own means; `arguments`
are those of bubblewrap, and seatbelt.py writes a profile for macOS.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/")
DEVICES: Final = Path("/dev")
NOTHING: Final = Path("/dev/null")


class Mount(NamedTuple):
    """The content of a path in the sandbox: `source` in the real file system, or an empty folder."""

    # None: an empty folder.
    source: Path | None
    writable: bool = False

    @property
    def hidden(self) -> bool:
        """Whether nothing of the real file system is shown there."""
        return self.source is None or self.source == NOTHING


class Mounts:
    """The whole file system, read-only except where specified. The last call for a path takes effect."""

    def __init__(self) -> None:
        self._at: dict[Path, Mount] = {ROOT: Mount(ROOT)}
        self._visible: set[Path] = set()
        self._masked: dict[Path, Mount] = {}
        # Masked paths that are shown in a writable folder.
        self._foreign: set[Path] = set()

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

    def mask(self, path: Path, *, folder: bool, foreign: bool = False) -> None:
        """Hides a folder or a file that exists, unless another call says what is at this path.

        `foreign`: it is not hidden below a writable path, because the session's own processes may have made it.
        """
        self._masked[path] = Mount(None if folder else NOTHING)
        if foreign:
            self._foreign.add(path)

    def resolved(self) -> dict[Path, Mount]:
        """Returns what the sandbox shows at each path, parents before their children; below it, the same applies."""
        at = dict(self._at)
        for path in sorted((self._visible | self._masked.keys()) - at.keys(), key=_depth):
            above = next(each for each in path.parents if each in at)
            shown = at[above].source == above
            if path in self._visible:
                if not shown:
                    at[path] = Mount(path)
            elif shown and not (at[above].writable and path in self._foreign):
                # What is not shown anyway has no mount point to hide it.
                at[path] = self._masked[path]
        return {path: at[path] for path in sorted(at, key=_depth)}

    def arguments(self) -> list[str]:
        """Returns the arguments for bubblewrap, parents before their children."""
        arguments: list[str] = []
        # Mount points can be created in a folder only while it is writable, so it becomes read-only at the end.
        closed: list[str] = []
        for path, mount in self.resolved().items():
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
