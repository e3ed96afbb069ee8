"""Decides whether to accept a task's change: it must match the plan and add no unwanted files."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from heddle import errors, globs, pb
from worktree_svc.content.ignored_files import IgnoredFiles
from worktree_svc.git.process.command import Git, decode, readable

# The largest new file in bytes, and the most new files of one task.
MAX_FILE_BYTES: Final = 50 << 20
MAX_NEW_FILES: Final = 5_000

# The most paths in a message.
_MOST_NAMED: Final = 10

# Folders that package managers fill.
INSTALLED: Final = frozenset({"node_modules", "bower_components", ".venv", "venv"})

# Names of files that contain secrets; case is ignored.
_SECRET_NAMES: Final = frozenset(
    {".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc", "_netrc", ".git-credentials", ".pypirc"}
)
_SECRET_SUFFIXES: Final = frozenset({".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"})
# Suffixes after .env of files that only show which variables exist.
_EXAMPLES: Final = frozenset({"example", "sample", "template", "dist", "defaults", "schema"})

# By file name: the content that makes the file a secret.
_SECRET_CONTENTS: Final = (
    (re.compile(r".+\.(pem|key)"), re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY")),
    (re.compile(r"\.npmrc"), re.compile(rb"(?m)^[^#;\n]*_(authToken|auth|password)[ \t]*=[ \t]*(?!\$\{)\S")),
    (
        re.compile(r"\.yarnrc\.yml"),
        re.compile(rb"(?m)^[ \t]*npmAuth(Token|Ident)[ \t]*:[ \t]*[\"']?(?!\$\{)[^\s\"']"),
    ),
)

_NO_FILE: Final = "160000"


class NewFile(NamedTuple):
    """A file that is in no parent of the commit."""

    path: str
    object_id: str
    size: int


class _Change(NamedTuple):
    """A file that differs from a parent: its path, its new object and the kind of change (A, M, D, T or R)."""

    path: str
    object_id: str
    how: str


@dataclass(frozen=True)
class ChangeRules:
    """The plan's and the project's rules for a task's change."""

    expect: "pb.Expect.ValueType" = pb.EXPECT_UNSPECIFIED
    # Globs of new files that are always accepted.
    allowed: Sequence[str] = ()


def check(
    git: Git, tree: str, parents: Sequence[str], rules: ChangeRules, ignored: Callable[[], IgnoredFiles]
) -> None:
    """Raises CHANGE_REFUSED unless a commit of `tree` on top of `parents` may be made.

    `git` can read the objects of `tree`. `ignored` finds ignored files that the agent
    wrote, for a message.
    """
    changes = [_changes(git, parents[0], tree)]
    changed = [change.path for change in changes[0]]
    problem = unexpected(rules.expect, changed, merges=len(parents) > 1, ignored=ignored)
    if problem:
        raise _refused(problem, changed)
    if not changed:
        return
    changes += [_changes(git, parent, tree) for parent in parents[1:]]
    new = [file for file in _new_files(git, changes) if not _is_allowed(file.path, rules.allowed)]
    held = {
        **dict(unwanted(new, lambda file: git.raw("cat-file", "blob", file.object_id))),
        **dict(_installed(new, lambda folder: _is_tracked(git, parents[0], folder))),
    }
    if held:
        raise _refused(_advice(held), held)
    if len(new) > MAX_NEW_FILES:
        count = (
            f"it adds {len(new):,} files, more than {MAX_NEW_FILES:,}, for example {readable(new[0].path)}"
        )
        raise _refused(_advice({count: ""}), [])


def unexpected(
    expect: "pb.Expect.ValueType",
    changed: Sequence[str],
    *,
    merges: bool,
    ignored: Callable[[], IgnoredFiles],
) -> str:
    """Returns why a change does not match what the plan expects of the task; empty if it matches."""
    if expect == pb.EXPECT_CHANGES and not changed and not merges:
        why = "the task must change files (expect: changes), but no file outside of git's ignore rules was changed"
        found = ignored()
        return (
            f"{why}: git ignores what was written: {_named(found.paths, found.count)}" if found.count else why
        )
    if expect == pb.EXPECT_NOTHING and changed:
        return f"the task must not change files (expect: nothing), but it changed {_named(changed, len(changed))}"
    return ""


def unwanted(new: Iterable[NewFile], content: Callable[[NewFile], bytes]) -> Iterator[tuple[str, str]]:
    """Yields the files that are too large or contain secrets, each with the reason."""
    for file in new:
        name = PurePosixPath(file.path).name.lower()
        if file.size > MAX_FILE_BYTES:
            yield file.path, f"{file.size / (1 << 20):,.0f} MiB, more than {MAX_FILE_BYTES >> 20}"
        elif _is_secret_name(name):
            yield file.path, "its name is typical of files with secrets"
        elif any(names.fullmatch(name) and marks.search(content(file)) for names, marks in _SECRET_CONTENTS):
            yield file.path, "it contains a key or a token"


def _is_secret_name(name: str) -> bool:
    if name.startswith(".env."):
        return name.rpartition(".")[2] not in _EXAMPLES
    return name in _SECRET_NAMES or PurePosixPath(name).suffix in _SECRET_SUFFIXES


def _installed(new: Iterable[NewFile], is_tracked: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Yields the new folders of package managers, each with its number of files."""
    counts: dict[str, int] = {}
    for file in new:
        parts = PurePosixPath(file.path).parts
        depth = next((level for level, part in enumerate(parts[:-1], 1) if part in INSTALLED), None)
        if depth:
            folder = "/".join(parts[:depth])
            counts[folder] = counts.get(folder, 0) + 1
    for folder, count in counts.items():
        if not is_tracked(folder):
            yield f"{folder}/", f"{count:,} files that a package manager installs"


def _new_files(git: Git, changes: Iterable[list[_Change]]) -> list[NewFile]:
    """Returns the files that are new compared with each parent; a renamed file is not new."""
    added: dict[str, str] | None = None
    for since in changes:
        here = {change.path: change.object_id for change in since if change.how == "A"}
        added = here if added is None else {path: added[path] for path in added.keys() & here.keys()}
    return [
        NewFile(path, object_id, git.size(object_id)) for path, object_id in sorted((added or {}).items())
    ]


def _changes(git: Git, parent: str, tree: str) -> list[_Change]:
    """Returns each file that differs; new submodules count as M."""
    options = ("-r", "--raw", "--no-abbrev", "-z", "-M100%", "--no-ext-diff", "--no-textconv")
    fields = iter(decode(git.raw("diff-tree", *options, parent, tree)).split("\0")[:-1])
    changes = []
    for field in fields:
        _, mode, _, object_id, how = field.split(" ")
        path = next(fields)
        if how.startswith("R"):
            path = next(fields)
        changes.append(_Change(path, object_id, "M" if mode == _NO_FILE and how == "A" else how[0]))
    return changes


def _is_tracked(git: Git, commit: str, folder: str) -> bool:
    # Does not use a waiting process, because the objects that this git reads are about to move.
    return git.run("cat-file", "-e", f"{commit}:{folder}").code == 0


def _is_allowed(path: str, allowed: Sequence[str]) -> bool:
    return any(globs.pattern(glob).fullmatch(path) for glob in allowed)


def _advice(held: dict[str, str]) -> str:
    named = [f"{readable(path)} ({why})" if why else path for path, why in held.items()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return (
        f"new files that should not be committed: {', '.join(named[:_MOST_NAMED])}{more}. Remove them, or have git"
        " ignore them (.gitignore). If they belong in the repository, list them in allow_files of the plan or of"
        " .heddle.yaml"
    )


def _named(paths: Sequence[str], count: int) -> str:
    shown = [readable(path) for path in paths[:_MOST_NAMED]]
    return f"{', '.join(shown)}{f' and {count - len(shown)} more' if count > len(shown) else ''}"


def _refused(why: str, paths: Iterable[str]) -> errors.HeddleError:
    files = ", ".join(readable(path) for path in list(paths)[:_MOST_NAMED])
    return errors.HeddleError(pb.ERROR_REASON_CHANGE_REFUSED, why, files=files)
