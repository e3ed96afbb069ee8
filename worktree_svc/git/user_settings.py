"""The settings of a repository as its user's git reads them, which tasks need often and users change rarely.

A git process for each question would be a third of the processes of a small task. So the answers are kept until a file
that they come from changes, and at most as long as a waiting git process (waiting_processes.py), which reads its settings
once. git reads files that no answer mentions, such as an empty file that is included: only the age limit covers those.
"""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worktree_svc.git.private_folders import Stamp, stamp_of
from worktree_svc.git.process.command import Git, decode
from worktree_svc.git.process.waiting_processes import OLDEST_SECONDS

# The most repositories whose settings are kept.
_MOST: Final = 64

_FILE: Final = "file:"


@dataclass(frozen=True)
class _Known:
    settings: Mapping[str, str]
    stamps: Mapping[Path, Stamp]
    read_at: float

    def is_valid(self) -> bool:
        age = time.monotonic() - self.read_at
        return age < OLDEST_SECONDS and all(stamp_of(file) == stamp for file, stamp in self.stamps.items())


_mutex: Final = threading.Lock()
_known: Final[dict[Path, _Known]] = {}


def of(common: Path) -> Mapping[str, str]:
    """Returns the settings for the repository at `common`, by key with section and name in lower case.

    Includes those of the user and the system, and of included files. Of several values of a key, the last one counts.
    Empty if git cannot read a file. Reads them only: no program that they name runs.
    """
    with _mutex:
        known = _known.get(common)
    if known is None or not known.is_valid():
        known = _read(common)
        with _mutex:
            _known.pop(common, None)
            _known[common] = known
            for oldest in list(_known)[:-_MOST]:
                del _known[oldest]
    return known.settings


def _read(common: Path) -> _Known:
    began = time.monotonic()
    # Before git reads the files: a change meanwhile then makes the answer invalid.
    stamps = {file: stamp_of(file) for file in _usual_files(common)}
    output = Git(common, git_dir=common).run("config", "--null", "--show-origin", "--list")
    if output.code:
        return _Known({}, {}, began - OLDEST_SECONDS)
    fields = decode(output.stdout).split("\0")[:-1]
    entries = [entry.partition("\n") for entry in fields[1::2]]
    for origin in set(fields[::2]):
        if origin.startswith(_FILE):
            file = common / origin.removeprefix(_FILE)
            stamps.setdefault(file, stamp_of(file))
    return _Known({key: value if has else "true" for key, has, value in entries}, stamps, began)


def _usual_files(common: Path) -> Iterable[Path]:
    """Yields the files that git reads if they exist. The branch in HEAD is a condition of some included files."""
    home = Path.home()
    other = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = (os.environ.get(f"GIT_CONFIG_{scope}") for scope in ("GLOBAL", "SYSTEM"))
    yield from (common / "config", common / "config.worktree", common / "HEAD")
    yield from (home / ".gitconfig", other / "git" / "config", Path("/etc/gitconfig"))
    yield from (Path(name) for name in named if name)
