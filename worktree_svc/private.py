"""Git folders of the service's own: a project's objects and refs, under a configuration that agents cannot write.

A repository's configuration names programs that git then runs: filters, merge
drivers, monitors, whatever an agent that can write .git/config likes. So the
service's git never reads it. For each project it keeps a folder

HEDDLE_HOME/repositories/HASH/

which to git is a repository: objects, refs and ignored names are links into the
project's, the configuration is ours. What the user's own ~/.gitconfig defines,
as git-lfs does, still runs.
"""

import hashlib
import re
import threading
from pathlib import Path
from typing import Final

from worktree_svc import files
from worktree_svc.git import SCRATCH, Git, decode, encode

_LINKS: Final = ("objects", "refs", "packed-refs", "info", "shallow")

# What says how files and objects are written, and where a partial clone finds
# the objects that it lacks. None of it names a program.
_HARMLESS: Final = re.compile(
    r"core\.(repositoryformatversion|autocrlf|eol|safecrlf|filemode|ignorecase|symlinks|precomposeunicode"
    r"|bigfilethreshold)"
    r"|extensions\.(objectformat|partialclone)"
    r"|remote\..*\.(url|promisor|partialclonefilter)",
    re.IGNORECASE,
)


class PrivateFolders:
    """The private git folders below one folder. Safe to use from threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._seen: dict[Path, tuple[int, ...]] = {}

    def of(self, common: Path) -> Path:
        """Returns the private folder of the repository at `common`; made, or brought up to date, if need be."""
        private = self._folder / hashlib.sha256(encode(str(common))).hexdigest()[:16]
        stamp = _stamp(common / "config")
        with self._mutex:
            if self._seen.get(common) != stamp or not private.is_dir():
                _make(private, common)
                self._seen[common] = stamp
        return private

    def clear(self) -> None:
        """Removes the temporary folders of a service that was killed."""
        for folder in self._folder.glob(f"*/{SCRATCH}*"):
            files.remove(folder)


def _stamp(config: Path) -> tuple[int, ...]:
    """Returns what differs once a file has been written."""
    if not config.is_file():
        return ()
    status = config.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _make(private: Path, common: Path) -> None:
    private.mkdir(parents=True, exist_ok=True)
    for name in _LINKS:
        link = private / name
        if not link.is_symlink():
            link.symlink_to(common / name)
    files.write_atomically(private / "config", _configuration(common))
    # On nothing, so that no command moves a branch by accident. The last: it makes the folder a repository.
    files.write_atomically(private / "HEAD", "ref: refs/heddle/none\n")


def _configuration(common: Path) -> str:
    """Returns the text of a configuration with what is harmless in the project's."""
    arguments = ("config", "--file", str(common / "config"), "--no-includes", "--null", "--list")
    output = Git(common).attempt(*arguments)
    lines: list[str] = []
    for entry in decode(output.stdout).split("\0"):
        key, separator, value = entry.partition("\n")
        if _HARMLESS.fullmatch(key):
            lines += _setting(key, value if separator else "true")
    # Where git-lfs keeps its objects; the name is only known to it.
    lines += _setting("lfs.storage", str(common / "lfs"))
    lines += _setting("core.logallrefupdates", "false")
    lines += _setting("core.bare", "false")
    return "".join(f"{line}\n" for line in lines)


def _setting(key: str, value: str) -> tuple[str, str]:
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    head = f"[{section} {_quoted(subsection)}]" if dot else f"[{section}]"
    return head, f"\t{name} = {_quoted(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
