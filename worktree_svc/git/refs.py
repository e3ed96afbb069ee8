"""Names, reads and atomically updates Heddle's refs in a project's repository."""

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from heddle.files import beneath
from heddle.names import AttemptName, EpicName, RunName
from worktree_svc.git.process.command import Git, Output, decode, failure

# The old value of a ref that must not exist yet.
ABSENT: Final = ""

# The message in the reflog of a user's branch.
_REASON: Final = "heddle: merge or commit"

# The refs that only Heddle moves.
_HEDDLES: Final = ("refs/heddle/", "refs/heads/heddle/")

# In the file of a symbolic ref such as HEAD, the prefix before the target's name.
_POINTER: Final = "ref: "

# The longest chain of symbolic refs that git follows.
_MOST_ALIASES: Final = 5


# The content of a ref's file, and names that are valid by these rules alone.
_ID: Final = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\n?")
_PLAIN_REF: Final = re.compile(r"refs(/[A-Za-z0-9_][A-Za-z0-9_-]*(@[0-9])?(\.[A-Za-z0-9_-]+)*)+")
_LONGEST_REF: Final = 100
_LONGEST_HEAD: Final = 64 << 10


class RefUpdate(NamedTuple):
    """A ref and its new commit; `old` is the commit that it must currently have, None for any commit."""

    ref: str
    new: str
    old: str | None


def branch_ref(branch: str) -> str:
    """Returns the full name of a branch."""
    return f"refs/heads/{branch}"


def accepted_ref(epic: EpicName) -> str:
    """Returns the ref of an epic's last accepted commit; only `accepting` moves it, unlike the epic's branch."""
    return f"refs/heddle/accepted/{epic.run}/{epic.epic}"


def claim_ref(epic: EpicName) -> str:
    """Returns the ref of the claim of an epic's place, here and at the remote."""
    return f"refs/heddle/claim/{epic.run}/{epic.epic}"


def held_ref(epic: EpicName) -> str:
    """Returns the ref of the claim that this worker holds in a repository whose own refs are the remote of its epics."""
    return f"refs/heddle/held/{epic.run}/{epic.epic}"


def accepting(epic: EpicName, commit: str, old: str) -> list[RefUpdate]:
    """Returns the updates that make `commit` an epic's last accepted one instead of `old`, and move its branch there."""
    return [
        RefUpdate(accepted_ref(epic), commit, old),
        RefUpdate(branch_ref(epic.branch), commit, None),
    ]


def merged_ref(run: RunName) -> str:
    """Returns the ref of the last commit merged into a run's branch; only merges move it, unlike the branch."""
    return f"refs/heddle/merged/{run.run}"


def kept_ref(attempt: AttemptName) -> str:
    """Returns the ref that keeps an attempt's work."""
    return f"refs/heddle/attempts/{attempt.run}/{attempt.epic}/{attempt.task}/{attempt.number}"


def rewound_ref(attempt: AttemptName) -> str:
    """Returns the ref that keeps the accepted commits that were rewound for an attempt."""
    return f"{rewound_refs(attempt.parent.parent)}/{attempt.task}/{attempt.number}"


def rewound_refs(epic: EpicName) -> str:
    """Returns the prefix of all refs of an epic that keep rewound commits."""
    return f"refs/heddle/rewound/{epic.run}/{epic.epic}"


def found_ref(attempt: AttemptName) -> str:
    """Returns the ref that keeps changes found in a worktree before an attempt, which no attempt made."""
    return f"refs/heddle/found/{attempt.run}/{attempt.epic}/{attempt.task}/{attempt.number}"


def resolution_ref(epic: EpicName, commit: str) -> str:
    """Returns the ref that keeps the commit of a person's resolution of an epic's conflict."""
    return f"refs/heddle/resolutions/{epic.run}/{epic.epic}/{commit}"


def archive_ref(epic: EpicName) -> str:
    """Returns the ref that keeps the content of an epic's removed worktree."""
    return f"refs/heddle/archive/{epic.run}/{epic.epic}"


def read(git: Git, *refs: str) -> list[str | None]:
    """Returns the commit of each ref; None for a ref that does not exist."""
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


def is_exactly(git: Git, ref: str, commit: str) -> bool:
    """Returns whether a ref has `commit` and is not symbolic, so that an update to it would change nothing.

    False if only git could tell.
    """
    with suppress(_AskGitError):
        return git.git_dir is not None and _read_file(git.git_dir, ref) == commit
    return False


class _AskGitError(Exception):
    """The ref's own file is not sufficient, so git has to resolve the ref."""


def _read_file(git_dir: Path, ref: str) -> str | None:
    """Returns the commit in a ref's own file or in packed-refs; raises _AskGitError unless that is unambiguous.

    Starting git would take longer, and git has no command that reads ref names
    literally and answers several questions.
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
    """Returns the commit that `revision` refers to, in any of git's notations; None if there is none."""
    return git.object_id(f"{revision}^{{commit}}")


def has(git: Git, commit: str) -> bool:
    """Returns whether a commit is here. Unlike `resolve`, does not fetch it into a partial clone, with all of its history."""
    return git.run("rev-list", "--exclude-promisor-objects", "--max-count=1", commit).code == 0


def head_of(git: Git, folder: Path) -> str | None:
    """Returns the commit that the file HEAD in a git folder refers to; None if there is none.

    git itself would read the configuration in that folder, which an agent may have written.
    """
    text = _head(folder)
    if text.startswith(_POINTER):
        return read(git, text.removeprefix(_POINTER))[0]
    return resolve(git, text) if re.fullmatch(r"[0-9a-f]{40,64}", text) else None


def head_branch(folder: Path) -> str | None:
    """Returns the full name of the ref that HEAD in a git folder names; None if HEAD is detached."""
    text = _head(folder)
    return text.removeprefix(_POINTER) if text.startswith(_POINTER) else None


def _head(folder: Path) -> str:
    try:
        return decode(beneath.read_file(folder / "HEAD", _LONGEST_HEAD)).strip()
    except OSError:
        return ""


def checked_out_branch(folder: Path, common: Path) -> str | None:
    """Returns the full name of the branch that is checked out in a git folder's checkout.

    Returns None if HEAD is detached.

    Symbolic refs are followed.
    """
    name = _points_to(f"{folder}/HEAD")
    for _ in range(_MOST_ALIASES):
        further = _points_to(f"{common}/{name}") if name else None
        if further is None:
            break
        name = further
    return name


def _points_to(file: str) -> str | None:
    """Returns the target of a symbolic ref, which old git versions write as a link.

    Returns None if the ref is not symbolic. Each task asks for every worktree of its project, so it opens the file only once.
    """
    try:
        # A pipe must not be waited for: without a writer it is empty, otherwise reading fails.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        target = _link_of(file) if error.errno == errno.ELOOP else ""
        return target if target.startswith("refs/") else None
    try:
        text = decode(os.read(descriptor, _LONGEST_HEAD)).strip()
    except OSError:  # a folder or a pipe
        return None
    finally:
        os.close(descriptor)
    return text.removeprefix(_POINTER) if text.startswith(_POINTER) else None


def _link_of(file: str) -> str:
    try:
        return str(Path(file).readlink())
    except OSError:  # replaced right now
        return ""


def update(git: Git, updates: Iterable[RefUpdate]) -> None:
    """Updates all refs or none; raises GIT_FAILED if any ref does not have its old value."""
    output = try_update(git, updates)
    if output.code:
        raise failure(("update-ref", "--stdin"), output)


def try_update(git: Git, updates: Iterable[RefUpdate]) -> Output:
    """Updates all refs or none; the output's exit code is 0 if all refs had their old values."""
    wanted = list(updates)
    lines = "".join(
        f"create {ref}\0{new}\0" if old == ABSENT else f"update {ref}\0{new}\0{old or ''}\0"
        for ref, new, old in wanted
    )
    # If an agent turned a ref into a symbolic ref, this replaces the ref and does not move its target.
    arguments = ("update-ref", "-m", _REASON, "--no-deref", "-z", "--stdin")
    if all(ref.startswith(_HEDDLES) for ref, _, _ in wanted):
        return git.change_refs(*arguments, lines=lines)
    # A process that waits remembers the time for the reflog, which other refs may have.
    # If the input is truncated, for example because this service is killed, git updates nothing.
    return git.run_spare(*arguments, stdin=f"start\0{lines}commit\0".encode())


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Returns whether `older` is an ancestor of `newer`, or the same commit."""
    arguments = ("merge-base", "--is-ancestor", older, newer)
    output = git.run(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    return output.code == 0


def parents(git: Git, commit: str) -> list[str]:
    """Returns the parents of a commit; none if it does not exist."""
    head, _, _ = (git.content(commit) or b"").partition(b"\n\n")
    return [line.removeprefix("parent ") for line in decode(head).split("\n") if line.startswith("parent ")]


def on_users_branch(git: Git, commit: str) -> bool:
    """Returns whether a branch or tag that is not Heddle's contains `commit`."""
    options = ("--format=%(refname)", f"--contains={commit}", "refs/heads", "refs/remotes", "refs/tags")
    holding = git.text("for-each-ref", *options).splitlines()
    return any(not ref.startswith(branch_ref("heddle/")) for ref in holding)


def unambiguous(git: Git, branch: str) -> str:
    """Returns an unambiguous name of the branch: the short one, unless a tag has the same name."""
    return branch_ref(branch) if read(git, f"refs/tags/{branch}")[0] else branch


def independent(git: Git, commits: Iterable[str]) -> list[str]:
    """Returns the smallest subset of `commits` from which all others are reachable, in the given order."""
    unique = list(dict.fromkeys(commits))
    if len(unique) == 1:
        return unique
    kept = set(git.text("merge-base", "--independent", *unique).splitlines())
    return [commit for commit in unique if commit in kept]
