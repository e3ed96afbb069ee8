"""Git folders of the service's own: a project's objects and refs, under a configuration that agents cannot write.

A repository's configuration names programs that git then runs: filters, merge
drivers, monitors, whatever an agent that can write .git/config likes. So the
service's git never reads it as it is now. For each project it keeps a folder

HEDDLE_HOME/repositories/HASH/

which to git is a repository: objects, refs and ignored names are links into the
project's, the configuration is ours. What the user's own ~/.gitconfig defines,
as git-lfs does, still runs; of the project's own filters those that filters.py allows.
"""

import hashlib
import re
import stat
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from worktree_svc.git import filters, spare_processes
from worktree_svc.git.command import SCRATCH, Git, decode, encode
from worktree_svc.git.spare_processes import Children
from worktree_svc.storage import files

# What a private folder shares with the repository. Branches that have a log get a line where Heddle moves them; no log is begun. The last is where
# git-crypt looks for its keys.
LINKS: Final = ("objects", "refs", "packed-refs", "info", "shallow", "logs", "git-crypt")

# In a private folder: the filters that the project had when it was first met.
_FILTERS: Final = "filters"

# What says how files and objects are written, and where a partial clone finds
# the objects that it lacks. None of it names a program.
_HARMLESS: Final = re.compile(
    r"core\.(repositoryformatversion|autocrlf|eol|safecrlf|filemode|ignorecase|symlinks|precomposeunicode"
    r"|bigfilethreshold|attributesfile|excludesfile|checkroundtripencoding|sharedrepository)"
    r"|extensions\.(objectformat|partialclone)"
    r"|lfs\.url|remote\..*\.(url|lfsurl|promisor|partialclonefilter)",
    re.IGNORECASE,
)

# Of those, what names other repositories.
_FETCHES: Final = re.compile(r"extensions\.partialclone|remote\..*", re.IGNORECASE)

# What tells whether a file or folder is still the one that it was.
Stamp = tuple[int, ...]


class Location(NamedTuple):
    """Where a repository is: what its user calls it, the folder that all its worktrees share, its own git folder."""

    top: Path
    common: Path
    git_dir: Path


class PrivateFolders:
    """The private git folders below one folder. Safe to use from threads."""

    def __init__(
        self, folder: Path, waiting: Children = spare_processes.NONE, *, named: Collection[str] = ()
    ) -> None:
        self.children = waiting
        # The filters of projects that the operator allows; see filters.py.
        self.named = named
        # Of projects that are URLs; see mirrors.py.
        self.mirrors = folder.with_name("mirrors")
        self._folder = folder
        self._mutex = threading.Lock()
        self._seen: dict[Path, Stamp] = {}
        self._locations: dict[Path, tuple[list[Stamp], Location]] = {}

    def of(self, common: Path) -> Path:
        """Returns the private folder of the repository at `common`; made, or brought up to date, if need be."""
        private = self._folder / hashlib.sha256(encode(str(common))).hexdigest()[:16]
        stamp = stamp_of(common / "config")
        with self._mutex:
            if self._seen.get(common) != stamp or not private.is_dir():
                make(private, common, more=self._filters(private, common))
                self._seen[common] = stamp
                self.children.drop(private)
        return private

    def running_filters(self, common: Path) -> filters.Settings:
        """Returns the settings of the filters of the repository at `common` that may run."""
        return filters.recorded(self.of(common) / "config")

    def _filters(self, private: Path, common: Path) -> filters.Settings:
        now, file = filters.defined(common), private / _FILTERS
        if not file.exists():
            private.mkdir(parents=True, exist_ok=True)
            files.write_atomically(file, _text(now))
        return filters.allowed(filters.recorded(file), now, self.named)

    def remember(self, location: Location) -> None:
        """Remembers where git found the repository of a path, as long as what it looked at does not change."""
        with self._mutex:
            self._locations[location.top] = (_stamps(location), location)

    def remembered(self, top: Path) -> Location | None:
        """Returns what git would find again; None if it has to be asked."""
        with self._mutex:
            stamps, location = self._locations.get(top, ([], None))
        return location if location and _stamps(location) == stamps else None

    def clear(self) -> None:
        """Removes the temporary folders of a service that was killed."""
        for folder in self._folder.glob(f"*/{SCRATCH}*"):
            files.remove(folder)


def stamp_of(path: Path) -> Stamp:
    """Returns what differs once a file has been written, or a folder replaced; empty if there is nothing."""
    try:
        status = path.stat()
    except OSError:
        return ()
    stamp = (status.st_dev, status.st_ino, status.st_mode, status.st_uid)
    return stamp if stat.S_ISDIR(status.st_mode) else (*stamp, status.st_mtime_ns, status.st_size)


def _stamps(location: Location) -> list[Stamp]:
    """Returns the stamps of all that git looks at when it looks for a repository."""
    return [stamp_of(path) for path in _looked_at(location)]


def _looked_at(location: Location) -> Iterable[Path]:
    top, common, git_dir = location
    return (
        *(top, top / ".git", git_dir, git_dir / "commondir", git_dir / "gitdir"),
        *(common, common / "config", git_dir / "config.worktree", common / "objects", common / "refs"),
    )


def make(
    private: Path, common: Path, *, remotes: bool = True, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Makes a private folder of the repository at `common`, under what is harmless in its settings and `more`.

    Without `remotes`, missing objects are fetched from nowhere.
    """
    private.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        link = private / name
        if not link.is_symlink():
            link.symlink_to(common / name)
    files.write_atomically(private / "config", harmless(common, remotes=remotes) + _text(more))
    # On nothing, so that no command moves a branch by accident. The last: it makes the folder a repository.
    files.write_atomically(private / "HEAD", "ref: refs/heddle/none\n")


def harmless(common: Path, *, remotes: bool = True) -> str:
    """Returns the text of a configuration with what is harmless in the project's."""
    arguments = ("config", "--file", str(common / "config"), "--no-includes", "--null", "--list")
    output = Git(common).attempt(*arguments)
    lines: list[str] = []
    for entry in decode(output.stdout).split("\0"):
        key, separator, value = entry.partition("\n")
        if _HARMLESS.fullmatch(key) and (remotes or not _FETCHES.fullmatch(key)):
            lines += _setting(key, value if separator else "true")
    # Where git-lfs keeps its objects; the name is only known to it.
    lines += _setting("lfs.storage", str(common / "lfs"))
    lines += _setting("core.logallrefupdates", "false")
    lines += _setting("core.bare", "false")
    return "".join(f"{line}\n" for line in lines)


def _text(settings: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for key, value in settings.items() for line in _setting(key, value))


def setting(key: str, value: str) -> str:
    """Returns the text of a configuration that sets one key."""
    return _text({key: value})


def _setting(key: str, value: str) -> tuple[str, str]:
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    head = f"[{section} {_quoted(subsection)}]" if dot else f"[{section}]"
    return head, f"\t{name} = {_quoted(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
