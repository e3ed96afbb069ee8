"""Gives each worktree its own view of the repository, with everything shared except the stash and notes.

Worktrees normally share refs/stash. Without this view, an agent's `git stash pop` would apply the user's stash,
or another agent's. The file commondir names the folder of the shared files. For an epic's worktree, that is a
folder next to it:

HEDDLE_HOME/worktrees/RUN/EPIC.git/    links to the repository's files, folders and kinds of refs; its own refs/stash

Settings that are made in the worktree also apply only there.
"""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from heddle import beneath
from heddle.worktree_paths import view_of
from worktree_svc.git.command import Git, decode
from worktree_svc.git.private_folders import Stamp, setting, stamp_of
from worktree_svc.storage import files

# The kinds of refs that are separate for each worktree.
_OWN_REFS: Final = frozenset({"stash", "notes"})

# Extensions that apply to this repository format and to any older one.
_EXTENSION: Final = re.compile(r"extensions\.(objectformat|partialclone|worktreeconfig)")

# Kinds of refs that are linked even if the repository has none yet, because commits create them.
_KINDS: Final = ("heads", "tags", "heddle")

# Entries of the repository's folder that are not linked, because the view has its own or a running git process
# owns them.
_NOT_SHARED: Final = re.compile(r"refs|logs|config|.*\.lock|.*\.pid|gc\.log|heddle-worktree")
# Linked even if they do not exist, because git creates them at the link's target.
_ALWAYS: Final = ("packed-refs", "shallow")

_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_STASH: Final = b" refs/stash\n"
_PACKED_STASH: Final = re.compile(rb"^[0-9a-f]+ refs/stash\n(\^[0-9a-f]+\n)?", re.MULTILINE)


def make(worktree: Path, common: Path) -> Path:
    """Creates or updates the view of a worktree; returns it."""
    _unpack_stash(common)
    view = view_of(worktree)
    for kind in _KINDS:
        (common / "refs" / kind).mkdir(parents=True, exist_ok=True)
        (common / "logs" / "refs" / kind).mkdir(parents=True, exist_ok=True)
    for folder in (view, view / "refs", view / "logs", view / "logs" / "refs"):
        if folder.is_symlink() or not folder.is_dir():
            files.remove(folder)
            folder.mkdir()
    shared = {entry.name for entry in common.iterdir() if not _NOT_SHARED.fullmatch(entry.name)}
    _link(view, common, shared | set(_ALWAYS))
    for part in (Path("refs"), Path("logs", "refs")):
        kinds = {entry.name for entry in (common / part).iterdir() if entry.is_dir()}
        _link(view / part, common / part, kinds - _OWN_REFS)
    _configure(view / "config", common / "config")
    return view


def clear(worktree: Path) -> None:
    """Removes a worktree's own refs but keeps its settings; the next `make` starts without these refs."""
    for part in ("refs", "logs"):
        files.remove(view_of(worktree) / part)


def stash_of(worktree: Path) -> str:
    """Returns the newest stash commit of a worktree; empty if there is none."""
    view = view_of(worktree)
    file, log = view / "refs" / "stash", view / "logs" / "refs" / "stash"
    # If git cannot write packed-refs, for example in a sandbox, the ref of an emptied stash remains.
    try:
        text = decode(beneath.read_file(file, 100)).strip() if beneath.read_file(log, 1) else ""
    except OSError:
        return ""
    return text if _ID.fullmatch(text) else ""


def _configure(config: Path, shared: Path) -> None:
    """Writes a view's configuration: the repository's, with settings that keep git from removing objects.

    The user's reflogs and stash are not visible in the view, so git would remove objects that only they refer
    to. git reads extensions only from the file itself, not from included files. Settings made in the worktree
    stay.
    """
    if config.is_symlink() or not config.is_file():
        files.remove(config)
    text = _configuration(config, stamp_of(config), shared, stamp_of(shared))
    if not config.exists() or config.read_text(errors="surrogateescape") != text:
        files.write_atomically(config, text)


@lru_cache(maxsize=1024)
def _configuration(config: Path, _: Stamp, shared: Path, _shared: Stamp) -> str:
    ours = [
        ("core.repositoryformatversion", "1"),
        *((key, value) for key, value in _settings(shared) if _EXTENSION.fullmatch(key)),
        ("extensions.preciousobjects", "true"),
        ("include.path", str(shared)),
        # Otherwise the worktree's own stash would be packed with the shared refs.
        ("gc.packrefs", "false"),
    ]
    keys = {key for key, _ in ours} - {"include.path"}
    own = [(key, value) for key, value in _settings(config) if key not in keys and (key, value) not in ours]
    return "".join(setting(key, value) for key, value in [*ours, *own])


def _settings(file: Path) -> list[tuple[str, str]]:
    """Returns the settings of a configuration file without includes; empty if it cannot be read."""
    output = Git(file.parent).run("config", "--file", str(file), "--no-includes", "--null", "--list")
    if output.code:
        return []
    entries = (entry.partition("\n") for entry in decode(output.stdout).split("\0")[:-1])
    return [(key, value if separator else "true") for key, separator, value in entries]


def _link(folder: Path, common: Path, names: set[str]) -> None:
    for name in names:
        link, target = folder / name, common / name
        if link.is_symlink() and link.readlink() == target:
            continue
        files.remove(link)
        link.symlink_to(target)


def _unpack_stash(common: Path) -> None:
    """Moves the user's stash out of packed-refs, which all worktrees read and write.

    git packs the stash there with all other refs. A worktree that drops its own last stash would remove it.
    Without a reflog there is no stash.
    """
    log, loose, packed = common / "logs" / "refs" / "stash", common / "refs" / "stash", common / "packed-refs"
    try:
        last = log.read_bytes().splitlines()[-1]
        text = packed.read_bytes()
    except (OSError, IndexError):
        return
    if not loose.exists():
        # If the ref of the stash is gone, its reflog still contains the commit.
        _replace(loose, lambda: b"" if loose.exists() else last.split(b" ")[1] + b"\n")
    if _STASH in text and loose.exists():
        _replace(packed, lambda: _PACKED_STASH.sub(b"", packed.read_bytes()))


def _replace(path: Path, content: Callable[[], bytes]) -> None:
    """Writes one of git's files under its lock file, as git does.

    If the lock is taken, leaves it to the next call.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        with lock.open("xb") as file:
            data = content()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return
    except OSError:
        lock.unlink(missing_ok=True)
        raise
    if data:
        lock.replace(path)
    else:
        lock.unlink()
