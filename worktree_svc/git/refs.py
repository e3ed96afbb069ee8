"""Heddle's refs in a project's repository, and moves of several at once."""

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from heddle.names import AttemptName, EpicName, RunName
from worktree_svc.git.command import Git, Output, failure

# The old value of a ref that must not be there yet.
ABSENT: Final = ""

# In the log of a branch of the user's.
_REASON: Final = "heddle: merge or commit"

# Before the name of the ref that HEAD stands on.
_POINTER: Final = "ref: "

# Refs that may name one another; git follows no more.
_MOST_ALIASES: Final = 5


# What a ref's file holds, and names that need no other rule than these.
_ID: Final = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\n?")
_PLAIN_REF: Final = re.compile(r"refs(/[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)+")
_LONGEST_REF: Final = 100


class Move(NamedTuple):
    """A ref that goes from one commit to another; `old` is None where any will do."""

    ref: str
    new: str
    old: str | None


def branch_ref(branch: str) -> str:
    """Returns the full name of a branch."""
    return f"refs/heads/{branch}"


def accepted_ref(epic: EpicName) -> str:
    """Returns the ref of an epic's last accepted commit; agents move its branch, only CommitTask this."""
    return f"refs/heddle/accepted/{epic.run}/{epic.epic}"


def merged_ref(run: RunName) -> str:
    """Returns the ref of what was last merged into a run's branch; users may move the branch, only merges this."""
    return f"refs/heddle/merged/{run.run}"


def kept_ref(attempt: AttemptName) -> str:
    """Returns the ref under which what an attempt left is kept."""
    return f"refs/heddle/attempts/{attempt.run}/{attempt.epic}/{attempt.task}/{attempt.number}"


def rewound_ref(attempt: AttemptName) -> str:
    """Returns the ref under which what was accepted and set aside for an attempt is kept."""
    return f"{rewound_refs(attempt.parent.parent)}/{attempt.task}/{attempt.number}"


def rewound_refs(epic: EpicName) -> str:
    """Returns where all such refs of an epic are."""
    return f"refs/heddle/rewound/{epic.run}/{epic.epic}"


def found_ref(attempt: AttemptName) -> str:
    """Returns the ref under which what lay in a worktree before an attempt, and no attempt made, is kept."""
    return f"refs/heddle/found/{attempt.run}/{attempt.epic}/{attempt.task}/{attempt.number}"


def archive_ref(epic: EpicName) -> str:
    """Returns the ref under which what lay in an epic's worktree when that was removed is kept."""
    return f"refs/heddle/archive/{epic.run}/{epic.epic}"


def read(git: Git, *refs: str) -> list[str | None]:
    """Returns the commit of each ref; None for one that is not there."""
    found: dict[str, str | None] = {}
    if git.git_dir:
        for ref in refs:
            with suppress(_AskGitError):
                found[ref] = _read_file(git.git_dir, ref)
    asked = [ref for ref in refs if ref not in found]
    if asked:
        lines = git.text("for-each-ref", "--format=%(refname) %(objectname)", "--", *asked).splitlines()
        found.update((ref, commit) for ref, commit in (line.split(" ") for line in lines))
    return [found.get(ref) for ref in refs]


class _AskGitError(Exception):
    """What lies there is for git to judge."""


def _read_file(git_dir: Path, ref: str) -> str | None:
    """Returns what a ref's own file, or the file of packed refs, says; raises _AskGitError unless that is plain.

    A git would take longer to start than that; and it has no command that only
    takes a name to the letter and goes on answering.
    """
    if not _PLAIN_REF.fullmatch(ref) or ".lock" in ref:
        raise _AskGitError
    try:
        descriptor = os.open(git_dir / ref, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return _packed(git_dir, ref)
    except OSError:
        raise _AskGitError from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _AskGitError
        match = _ID.fullmatch(os.read(descriptor, _LONGEST_REF))
    finally:
        os.close(descriptor)
    if match is None:
        raise _AskGitError
    return match[1].decode()


def _packed(git_dir: Path, ref: str) -> str | None:
    try:
        text = (git_dir / "packed-refs").read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        raise _AskGitError from None
    end = text.find(b" " + ref.encode() + b"\n")
    if end < 0:
        return None
    match = _ID.fullmatch(text[text.rfind(b"\n", 0, end) + 1 : end])
    if match is None:
        raise _AskGitError
    return match[1].decode()


def resolve(git: Git, revision: str) -> str | None:
    """Returns the commit that `revision` names, in any of git's notations; None if there is none."""
    return git.object_id(f"{revision}^{{commit}}")


def head_of(git: Git, folder: Path) -> str | None:
    """Returns the commit that the file HEAD in a git folder names; None if it names none.

    Asked itself, git would read a configuration there, perhaps of an agent.
    """
    text = _head(folder)
    if text.startswith(_POINTER):
        return read(git, text.removeprefix(_POINTER))[0]
    return resolve(git, text) if re.fullmatch(r"[0-9a-f]{40,64}", text) else None


def head_branch(folder: Path) -> str | None:
    """Returns the full name of the ref on which HEAD in a git folder stands; None if it is detached."""
    text = _head(folder)
    return text.removeprefix(_POINTER) if text.startswith(_POINTER) else None


def _head(folder: Path) -> str:
    head = folder / "HEAD"
    if head.is_symlink() or not head.is_file():
        return ""
    return head.read_text(errors="surrogateescape").strip()


def stands_on(folder: Path, common: Path) -> str | None:
    """Returns the full name of the branch on which the checkout of a git folder stands, also by an alias; None if it is detached."""
    name = _points_to(folder / "HEAD")
    for _ in range(_MOST_ALIASES):
        further = _points_to(common / name) if name else None
        if further is None:
            break
        name = further
    return name


def _points_to(file: Path) -> str | None:
    """Returns the ref that a ref's file names, or an old git's link; None if it names none."""
    if file.is_symlink():
        target = str(file.readlink())
        return target if target.startswith("refs/") else None
    if not file.is_file():
        return None
    text = file.read_text(errors="surrogateescape").strip()
    return text.removeprefix(_POINTER) if text.startswith(_POINTER) else None


def move(git: Git, moves: Iterable[Move]) -> None:
    """Moves all refs or none; raises GIT_FAILED if one is not at its old value."""
    output = try_move(git, moves)
    if output.code:
        raise failure(("update-ref", "--stdin"), output)


def try_move(git: Git, moves: Iterable[Move]) -> Output:
    """Moves all refs or none; the output's code is 0 if all were at their old values."""
    lines = [
        f"create {ref}\0{new}\0" if old == ABSENT else f"update {ref}\0{new}\0{old or ''}\0"
        for ref, new, old in moves
    ]
    # Without its end, as when this service is killed, git moves nothing.
    text = "".join(["start\0", *lines, "commit\0"])
    # A ref that an agent made an alias of another is replaced, and the other stays where it is.
    return git.ahead("update-ref", "-m", _REASON, "--no-deref", "-z", "--stdin", stdin=text.encode())


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Returns whether `newer` holds `older`."""
    arguments = ("merge-base", "--is-ancestor", older, newer)
    output = git.attempt(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    return output.code == 0


def on_users_branch(git: Git, commit: str) -> bool:
    """Returns whether a branch or tag that is not one of Heddle's holds `commit`."""
    options = ("--format=%(refname)", f"--contains={commit}", "refs/heads", "refs/remotes", "refs/tags")
    holding = git.text("for-each-ref", *options).splitlines()
    return any(not ref.startswith(branch_ref("heddle/")) for ref in holding)


def unmistakable(git: Git, branch: str) -> str:
    """Returns a name of the branch that git takes for nothing else: its short one, unless there is such a tag."""
    return branch_ref(branch) if read(git, f"refs/tags/{branch}")[0] else branch


def independent(git: Git, commits: Iterable[str]) -> list[str]:
    """Returns the fewest of `commits` from which all others can be reached, in their order."""
    unique = list(dict.fromkeys(commits))
    if len(unique) == 1:
        return unique
    kept = set(git.text("merge-base", "--independent", *unique).splitlines())
    return [commit for commit in unique if commit in kept]
