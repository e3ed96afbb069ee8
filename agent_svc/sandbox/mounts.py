"""What a sandbox shows of the file system, as arguments for bubblewrap. Pure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/")
DEVICES: Final = Path("/dev")


class Mount(NamedTuple):
    """What a path in the sandbox shows: `source` of the real file system, or nothing."""

    # None: an empty folder.
    source: Path | None
    writable: bool = False


class Mounts:
    """The whole file system, read-only, but for what was said otherwise. The later word on a path holds."""

    def __init__(self) -> None:
        self._at: dict[Path, Mount] = {ROOT: Mount(ROOT)}
        self._visible: set[Path] = set()

    def empty(self, path: Path) -> None:
        """Hides everything below a folder."""
        self._at[path] = Mount(None)

    def read_only(self, path: Path, source: Path | None = None) -> None:
        """Shows a path, or another in its place, also below one that is writable or hidden."""
        self._at[path] = Mount(source or path)

    def writable(self, path: Path, source: Path | None = None) -> None:
        """Lets a path be written, or another in its place."""
        self._at[path] = Mount(source or path, writable=True)

    def visible(self, paths: Iterable[Path]) -> None:
        """Shows paths, read-only, where one above is hidden or replaced; elsewhere they are there anyway."""
        self._visible.update(paths)

    def arguments(self) -> list[str]:
        """Returns the arguments, parents before their children."""
        at = dict(self._at)
        for path in sorted(self._visible - at.keys(), key=_depth):
            above = next(each for each in path.parents if each in at)
            if at[above].source != above:
                at[path] = Mount(path)
        arguments: list[str] = []
        # A folder takes what is mounted in it only while it is writable.
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
    # Elsewhere no device can be used, even one that was made there.
    return "--dev-bind" if DEVICES in path.parents else "--bind"


def _depth(path: Path) -> tuple[str, ...]:
    return path.parts
