"""The service's own git folders: a project's objects and refs, with a configuration that agents cannot write.

A repository's configuration names programs that git runs, such as filters, merge drivers
and file system monitors. An agent with access to .git/config could choose any program. So
the service's git never reads that configuration. The service keeps a folder per project:

HEDDLE_HOME/repositories/HASH/

To git, this folder is a repository. Its objects, refs and ignore rules are links into the
project's repository; its configuration belongs to the service. Programs from the user's
~/.gitconfig, such as git-lfs, still run. Of the project's own filters, only those that
heddle/project/git_filters.py allows run.
"""

import re
import stat
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from heddle.files import data_folder
from heddle.project import git_filters
from heddle.project.git_filters import FilterSettings
from worktree_svc.git import filters
from worktree_svc.git.process import waiting_processes
from worktree_svc.git.process.command import SCRATCH, Git, decode
from worktree_svc.git.process.waiting_processes import WaitingProcesses
from worktree_svc.storage import files

# What a private folder shares with the repository. If a branch has a reflog, Heddle's moves are logged in it;
# Heddle creates no reflog. git-crypt looks for its keys in "git-crypt".
LINKS: Final = ("objects", "refs", "packed-refs", "info", "shallow", "logs", "git-crypt")

# Settings for how git writes files and objects, and where a partial clone finds its
# missing objects. None of them names a program.
_HARMLESS: Final = re.compile(
    r"core\.(repositoryformatversion|autocrlf|eol|safecrlf|filemode|ignorecase|symlinks|precomposeunicode"
    r"|bigfilethreshold|attributesfile|excludesfile|checkroundtripencoding|sharedrepository)"
    r"|extensions\.(objectformat|partialclone)"
    r"|lfs\.url|remote\..*\.(url|lfsurl|promisor|partialclonefilter)",
    re.IGNORECASE,
)

# The settings above that name other repositories.
_FETCHES: Final = re.compile(r"extensions\.partialclone|remote\..*", re.IGNORECASE)

# Identifies a version of a file or folder; it changes if the file is written or either is replaced.
Stamp = tuple[int, ...]


class Location(NamedTuple):
    """Where a repository is: the path that the user names, the folder of all worktrees, its own git folder."""

    top: Path
    common: Path
    git_dir: Path


class PrivateFolders:
    """The private git folders below one folder. Safe to use from threads."""

    def __init__(
        self,
        folder: Path,
        waiting: WaitingProcesses = waiting_processes.NONE,
        *,
        named: Collection[str] = (),
        linkable: Sequence[Path] = (),
    ) -> None:
        self.waiting = waiting
        # The project filters that the operator allows; see heddle/project/git_filters.py.
        self.named = named
        # The folders of checkouts that the operator lets projects link; see provisions.py.
        self.linkable = linkable
        # The folder of mirrors, for projects that are URLs; see mirrors.py.
        self.mirrors = folder.with_name("mirrors")
        self._folder = folder
        self._mutex = threading.Lock()
        self._seen: dict[Path, Stamp] = {}
        self._locations: dict[Path, tuple[list[Stamp], Location]] = {}

    def of(self, common: Path) -> Path:
        """Returns the private folder of the repository at `common`; creates or updates it if necessary."""
        private = self._folder / data_folder.repository_name(common)
        stamp = stamp_of(common / "config")
        with self._mutex:
            if self._seen.get(common) != stamp or not private.is_dir():
                make(private, common, more=self._filters(private, common))
                self._seen[common] = stamp
                self.waiting.drop(private)
        return private

    def running_filters(self, common: Path) -> FilterSettings:
        """Returns the settings of the filters that may run for the repository at `common`."""
        return filters.recorded(self.of(common) / "config")

    def _filters(self, private: Path, common: Path) -> FilterSettings:
        now, file = filters.defined(common), private / git_filters.RECORD
        if not file.exists():
            private.mkdir(parents=True, exist_ok=True)
            files.write_atomically(file, _text(now))
        return git_filters.allowed(filters.recorded(file), now, self.named)

    def remember(self, location: Location) -> None:
        """Caches where git found the repository of a path; valid until a file that git read changes."""
        with self._mutex:
            self._locations[location.top] = (_stamps(location), location)

    def remembered(self, top: Path) -> Location | None:
        """Returns the cached location if it is still valid; None if git has to search again."""
        with self._mutex:
            stamps, location = self._locations.get(top, ([], None))
        return location if location and _stamps(location) == stamps else None

    def clear(self) -> None:
        """Removes the temporary folders of a service that was killed."""
        for folder in self._folder.glob(f"*/{SCRATCH}*"):
            files.remove(folder)


def stamp_of(path: Path) -> Stamp:
    """Returns a value that changes when a file is written or a folder is replaced.

    The value is empty if `path` does not exist.
    """
    try:
        status = path.stat()
    except OSError:
        return ()
    stamp = (status.st_dev, status.st_ino, status.st_mode, status.st_uid)
    return stamp if stat.S_ISDIR(status.st_mode) else (*stamp, status.st_mtime_ns, status.st_size)


def _stamps(location: Location) -> list[Stamp]:
    """Returns the stamps of all files that git reads when it searches for a repository."""
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
    """Creates a private folder for the repository at `common`, with its harmless settings and `more`.

    Without `remotes`, missing objects are not fetched.
    """
    private.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        link = private / name
        if not link.is_symlink():
            link.symlink_to(common / name)
    files.write_atomically(private / "config", harmless(common, remotes=remotes) + _text(more))
    # HEAD names an unborn branch, so no command moves a branch by accident. It is written last, because it
    # makes the folder a repository.
    files.write_atomically(private / "HEAD", "ref: refs/heddle/none\n")


def harmless(common: Path, *, remotes: bool = True) -> str:
    """Returns the harmless part of the project's configuration, as the text of a configuration file."""
    arguments = ("config", "--file", str(common / "config"), "--no-includes", "--null", "--list")
    output = Git(common).run(*arguments)
    lines: list[str] = []
    for entry in decode(output.stdout).split("\0"):
        key, separator, value = entry.partition("\n")
        if _HARMLESS.fullmatch(key) and (remotes or not _FETCHES.fullmatch(key)):
            lines += _setting(key, value if separator else "true")
    # Where git-lfs keeps its objects; only git-lfs reads this key.
    lines += _setting("lfs.storage", str(common / "lfs"))
    lines += _setting("core.logallrefupdates", "false")
    lines += _setting("core.bare", "false")
    return "".join(f"{line}\n" for line in lines)


def _text(settings: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for key, value in settings.items() for line in _setting(key, value))


def setting(key: str, value: str) -> str:
    """Returns the text of a configuration file with one key."""
    return _text({key: value})


def _setting(key: str, value: str) -> tuple[str, str]:
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    head = f"[{section} {_quoted(subsection)}]" if dot else f"[{section}]"
    return head, f"\t{name} = {_quoted(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
