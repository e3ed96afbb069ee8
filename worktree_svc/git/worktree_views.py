"""Gives each worktree a repository of its own, which borrows the objects of the project's repository.

An agent writes nothing in the project's repository: it could replace objects, refs or settings that other epics
and the user rely on. The file .git of an epic's worktree names a folder next to it:

HEDDLE_HOME/worktrees/RUN/EPIC.git/
    objects/         the agent's own objects; the project's are an alternate. See object_import.py
    refs/, logs/     the agent's own refs, with a stash and notes
    packed-refs      the project's refs, as they are now; see ref_updates.py
    worktrees/EPIC/  the git folder of the worktree, with its HEAD and index
    config           includes the project's; settings made in the worktree apply only there
    everything else  links to the project's files

In the project's repository the worktree is registered too, so that git there does not check out the epic's branch
a second time, and shows the branch at its last accepted commit.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from heddle.files import beneath
from heddle.files.worktree_paths import git_folder_of, view_of
from worktree_svc.git.private_folders import Stamp, setting, stamp_of
from worktree_svc.git.process.command import Git, decode
from worktree_svc.storage import files

# The kinds of refs that are never copied.
_OWN_REFS: Final = frozenset({"stash", "notes", "bisect", "worktree", "rewritten"})
_SORTED: Final = b"# pack-refs with: sorted \n"

# A link: agents need not write there, and there may be many.
_HEDDLES_REFS: Final = "refs/heddle"

# Extensions that apply to this repository format and to any older one.
_EXTENSION: Final = re.compile(r"extensions\.(objectformat|partialclone|worktreeconfig)")

# Entries of the repository's folder that are not linked, because the view has its own or a running git process
# owns them.
_NOT_SHARED: Final = re.compile(
    r"refs|packed-refs|logs|objects|worktrees|config|.*\.lock|.*\.pid|gc\.log|heddle-worktree"
)
# Linked even if it does not exist, because git creates it at the link's target.
_ALWAYS: Final = frozenset({"shallow"})

# The files of a worktree's registration in a repository; all others are the worktree's own.
_REGISTRATION: Final = frozenset({"gitdir", "commondir", "locked"})

_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PLAIN_REF: Final = re.compile(rb"(([0-9a-f]{40}|[0-9a-f]{64})|ref: refs/[^\0\n]+)\n?")
_LONGEST_REF: Final = 4096

# The longest chain of symbolic refs that is followed.
_MOST_ALIASES: Final = 5
_POINTER: Final = "ref: "


def make(worktree: Path, common: Path, registration: Path, branch: str) -> Path:
    """Creates or updates the view of a worktree of the repository at `common`; returns the worktree's git folder.

    `registration` is the worktree's folder in the repository, `branch` the full name of the epic's branch. Copies
    refs only if the view has none. A file that a power failure damages is written again by the next call, which precedes
    each use of the worktree.
    """
    view, own = view_of(worktree), git_folder_of(worktree)
    for name in ("", "refs", "logs", "objects", "objects/info", "objects/pack", "worktrees"):
        _make_folder(view / name)
    shared = {entry.name for entry in common.iterdir() if not _NOT_SHARED.fullmatch(entry.name)}
    _link(view, common, shared | _ALWAYS)
    _borrow(view / "objects" / "info", common / "objects")
    if _lacks_refs(view):
        _copy_refs(view, common, branch)
    _configure(view / "config", common / "config")
    if own.is_symlink() or not own.is_dir():
        files.remove(own)
        _take_over(own, registration, branch)
    for name, text in (("gitdir", f"{worktree / '.git'}\n"), ("commondir", "../..\n")):
        if _read(own / name) != text:
            files.replace(own / name, text)
    return own


def clear(worktree: Path) -> None:
    """Removes a worktree's own refs, logs, objects and nested worktrees; the next `make` copies the project's refs.

    Keeps settings, and the worktree's own git folder.
    """
    view = view_of(worktree)
    for path in (
        *(view / part for part in ("refs", "packed-refs", "logs", "objects")),
        git_folder_of(worktree) / "logs",
    ):
        files.remove(path)
    for folder in _entries(view / "worktrees"):
        if folder != git_folder_of(worktree):
            files.remove(folder)


def refresh(worktree: Path, common: Path, branch: str) -> None:
    """Copies the project's refs again, in place of the agent's; keeps its stash and notes."""
    view = view_of(worktree)
    for kind in _entries(view / "refs"):
        if kind.name not in _OWN_REFS:
            files.remove(kind)
    _copy_refs(view, common, branch)


def remove_locks(worktree: Path) -> None:
    """Removes the locks of git processes of an agent that were killed. The agent has ended."""
    view = view_of(worktree)
    for parent, _, names in os.walk(view / "refs"):
        for name in names:
            if name.endswith(".lock"):
                Path(parent, name).unlink()
    for name in ("packed-refs.lock", "config.lock"):
        (view / name).unlink(missing_ok=True)


def set_branch(worktree: Path, branch: str, commit: str) -> None:
    """Sets a branch in a view whose refs were just copied, before an agent could change them."""
    files.write_atomically(view_of(worktree) / branch, f"{commit}\n")


def head_of(worktree: Path, folder: Path) -> str | None:
    """Returns the commit ID of HEAD in a worktree's git folder; None if it has none. The object may not exist.

    Reads files only: git would read settings that an agent may have written.
    """
    name = _read(folder / "HEAD").strip()
    for _ in range(_MOST_ALIASES):
        if not name.startswith(_POINTER):
            break
        name = read_ref(worktree, name.removeprefix(_POINTER)) or ""
    return name if _ID.fullmatch(name) else None


def read_ref(worktree: Path, ref: str) -> str | None:
    """Returns what a ref of the view contains, an ID or `ref: NAME`; None if it does not exist."""
    view, parts = view_of(worktree), ref.split("/")
    if parts[0] != "refs" or ".." in parts or "\0" in ref:
        return None
    if text := _read(view / ref).strip():
        return text
    # Not a regular expression: Python would keep one for each ref.
    front, found, _ = f"\n{_read(view / 'packed-refs', longest=None)}".partition(f" {ref}\n")
    commit = front.rpartition("\n")[2]
    return commit if found and _ID.fullmatch(commit) else None


def stash_of(worktree: Path) -> str:
    """Returns the newest stash commit of a worktree; empty if there is none."""
    view = view_of(worktree)
    file, log = view / "refs" / "stash", view / "logs" / "refs" / "stash"
    # If git cannot write packed-refs, for example in a sandbox, the ref of an emptied stash remains.
    text = _read(file).strip() if _read(log, 1) else ""
    return text if _ID.fullmatch(text) else ""


def objects_of(worktree: Path, common: Path) -> Path:
    """Returns the folder of a worktree's own objects, which then borrows only from the repository at `common`."""
    objects = view_of(worktree) / "objects"
    if view_of(worktree).is_dir():
        for folder in (objects, objects / "info"):
            _make_folder(folder)
        _borrow(objects / "info", common / "objects")
    return objects


def _take_over(own: Path, registration: Path, branch: str) -> None:
    """Creates a worktree's git folder from its registration, which earlier versions used as that folder."""
    made = own.with_name(f"{own.name}.new")
    _make_folder(made)
    for entry in _entries(registration):
        if entry.name in _REGISTRATION or entry.is_symlink():
            continue
        if entry.name in {"HEAD", "config.worktree"}:
            shutil.copyfile(entry, made / entry.name)
        # The repositories of submodules contain absolute paths; the next attempt gets others.
        elif entry.name != "modules":
            shutil.move(entry, made / entry.name)
    if not (made / "HEAD").is_file():
        files.write_atomically(made / "HEAD", f"{_POINTER}{branch}\n")
    made.rename(own)


def _make_folder(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        files.remove(folder)
        folder.mkdir()


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _read(file: Path, longest: int | None = _LONGEST_REF) -> str:
    """Returns the text of a regular file; empty if it does not exist or is something else, such as a link or a pipe."""
    try:
        return decode(beneath.read_file(file, -1 if longest is None else longest))
    except OSError:
        return ""


def _borrow(info: Path, objects: Path) -> None:
    """Makes the project's objects the only alternate, and removes indexes of objects that an agent may have made."""
    for entry in _entries(info):
        if entry.name != "alternates":
            files.remove(entry)
    text = f"{objects}\n"
    if _read(info / "alternates") != text:
        files.replace(info / "alternates", text)


def _lacks_refs(view: Path) -> bool:
    heads = view / "refs" / "heads"
    # In the views of earlier versions, it is a link.
    return heads.is_symlink() or not heads.is_dir()


def _copy_refs(view: Path, common: Path, branch: str) -> None:
    """Creates the refs of a view that has none except its stash and notes. `branch` is the epic's."""
    loose = dict(_loose(common))
    _show_refs(view, common, loose)
    # git creates a branch's folder only if its parents are folders.
    for parent in reversed([parent for parent in Path(branch).parents if parent.parts[:1] == ("refs",)]):
        _make_folder(view / parent)
    for name, content in loose.items():
        if _is_pointer(content):
            (view / name).parent.mkdir(parents=True, exist_ok=True)
            (view / name).write_bytes(content)
    files.remove(view / _HEDDLES_REFS)
    (view / _HEDDLES_REFS).symlink_to(common / _HEDDLES_REFS)


def show_refs(view: Path, common: Path) -> None:
    """Makes the project's refs visible in a view, below what git there has written itself.

    They are packed refs of the view: git prefers the files in refs/, where an agent writes.
    """
    _show_refs(view, common, dict(_loose(common)))


def _show_refs(view: Path, common: Path, loose: Mapping[str, bytes]) -> None:
    refs = {name: content for name, content in loose.items() if not _is_pointer(content)}
    lines = (
        line.split(b" ", 1) for line in _packed(common).split(b"\n") if line[:1] not in {b"#", b"^", b""}
    )
    packed = {os.fsdecode(name): commit for commit, name in lines if not _is_own(os.fsdecode(name))}
    every = sorted({**packed, **refs}.items(), key=lambda ref: os.fsencode(ref[0]))
    text = _SORTED + b"".join(b"%s %s\n" % (commit.strip(), os.fsencode(name)) for name, commit in every)
    scratch = view / "packed-refs.heddle"
    files.remove(scratch)
    scratch.write_bytes(text)
    scratch.replace(view / "packed-refs")


def stamp_of_refs(common: Path) -> bytes:
    """Returns a value that changes when a ref of a repository that views show changes.

    A hash, because each run leaves folders of refs in the repository.
    """
    folders = [Path(folder) for folder, _, _ in _walk(common)]
    stamps = [(str(path), _changed_at(path)) for path in (common / "packed-refs", *folders)]
    return hashlib.sha256(repr(stamps).encode(errors="surrogateescape")).digest()


def _changed_at(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _walk(common: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields the folders of the refs that views show, like os.walk."""
    top = str(common / "refs")
    for folder, folders, names in os.walk(top):
        if folder == top:
            folders[:] = [name for name in folders if name not in _OWN_REFS and name != "heddle"]
        yield folder, folders, names


def _loose(common: Path) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the refs that have files of their own."""
    above = len(f"{common}/")
    for folder, _, names in _walk(common):
        for name in names:
            path = f"{folder}/{name}"
            ref = path[above:]
            if not name.endswith(".lock") and not _is_own(ref) and (content := _content(path)):
                yield ref, content


def _is_pointer(content: bytes) -> bool:
    return content.startswith(_POINTER.encode())


def _is_own(ref: str) -> bool:
    return ref.split("/")[1] in _OWN_REFS


def _packed(common: Path) -> bytes:
    try:
        return (common / "packed-refs").read_bytes()
    except FileNotFoundError:
        return b""


def _content(ref: str) -> bytes:
    """Returns the content of a ref's file; empty if it is not a ref. There may be thousands, so it opens each only once."""
    try:
        # A pipe must not be waited for: without a writer it is empty, otherwise reading fails.
        descriptor = os.open(ref, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _aimed(ref) if error.errno == errno.ELOOP else b""
    try:
        content = os.read(descriptor, _LONGEST_REF)
    except OSError:  # a folder or a pipe
        return b""
    finally:
        os.close(descriptor)
    return content if _PLAIN_REF.fullmatch(content) else b""


def _aimed(ref: str) -> bytes:
    """Returns the content of a symbolic ref that an old git wrote as a link; empty if it is another link."""
    try:
        aimed = str(Path(ref).readlink())
    except OSError:  # replaced right now
        return b""
    return os.fsencode(f"{_POINTER}{aimed}\n") if aimed.startswith("refs/") else b""


def _configure(config: Path, shared: Path) -> None:
    """Writes a view's configuration: the repository's, with settings that keep git from removing objects.

    git reads extensions only from the file itself, not from included files. Settings made in the worktree stay.
    """
    if config.is_symlink() or not config.is_file():
        files.remove(config)
    ours = _heddles_settings(shared, stamp_of(shared))
    existing = config.read_text(errors="surrogateescape") if config.exists() else ""
    own = [] if existing in {"", _text(ours)} else _settings(config)
    keys = {key for key, _ in ours} - {"include.path"}
    text = _text(
        [*ours, *((key, value) for key, value in own if key not in keys and (key, value) not in ours)]
    )
    if existing != text:
        files.replace(config, text)


@lru_cache(maxsize=64)
def _heddles_settings(shared: Path, _: Stamp) -> list[tuple[str, str]]:
    return [
        ("core.repositoryformatversion", "1"),
        *((key, value) for key, value in _settings(shared) if _EXTENSION.fullmatch(key)),
        # Objects that only an index or a detached HEAD uses would be removed.
        ("extensions.preciousobjects", "true"),
        ("include.path", str(shared)),
        ("gc.packrefs", "false"),
    ]


def _text(settings: Iterable[tuple[str, str]]) -> str:
    return "".join(setting(key, value) for key, value in settings)


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
