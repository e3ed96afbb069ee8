"""Finds the accepted commits of an epic by a ref that only CommitTask moves, and by their trailers."""

from heddle import pb
from heddle.names import AttemptName, EpicName
from worktree_svc.content import special_files
from worktree_svc.git import commit_messages, refs, trees
from worktree_svc.git.process.command import Git, Output, decode, failure
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreeState


def accepted(project: Project, state: WorktreeState) -> str:
    """Returns the epic's last accepted commit, or its start; creates the refs of a new epic.

    If the ref was deleted, the branch is searched for its newest first-parent commit
    with trailers of this epic.
    """
    git = project.git
    special_files.remove_from_refs(project.common, state.epic)
    ref, branch = refs.accepted_ref(state.epic), refs.branch_ref(state.branch)
    found, tip = refs.read(git, ref, branch)
    if found:
        return found
    head = _derived(git, state, tip) if tip else state.head
    updates = [refs.RefUpdate(ref, head, refs.ABSENT)]
    if tip is None:
        updates.append(refs.RefUpdate(branch, head, refs.ABSENT))
    refs.update(git, updates)
    return head


def is_of_attempt(git: Git, commit: str, attempt: AttemptName) -> bool:
    """Returns whether `commit` is the accepted work of exactly this attempt."""
    return commit_messages.trailers_of(_message(git, commit)) == commit_messages.attempt_trailers(attempt)


def commit_of(git: Git, state: WorktreeState, attempt: AttemptName) -> str | None:
    """Returns the accepted commit of an attempt, even if it is not the newest; None if the attempt has none."""
    words = [f"--grep={key}: {value}" for key, value in commit_messages.attempt_trailers(attempt).items()]
    options = ("--first-parent", "--fixed-strings", "--all-match", *words)
    for commit in git.text("rev-list", *options, f"{state.start}..{state.head}").splitlines():
        if is_of_attempt(git, commit, attempt):
            return commit
    return None


def has_accepted(git: Git, state: WorktreeState, older: str, newer: str) -> bool:
    """Returns whether CommitTask made any commit of the epic after `older`, up to `newer`."""
    for commit in git.text("rev-list", "--first-parent", f"{older}..{newer}").splitlines():
        trailers = commit_messages.trailers_of(_message(git, commit))
        if commit_messages.ATTEMPT in trailers and _is_of_epic(trailers, state.epic):
            return True
    return False


def own_messages(git: Git, older: str, newer: str) -> list[str]:
    """Returns the messages of the commits that an agent made on top of `older`, oldest first, at most the newest 100."""
    if older == newer:
        return []
    options = ("--no-merges", "--first-parent", "--max-count=100", "--format=%B%x00")
    # The messages are optional. If they cannot be read, the commit is made without them.
    listed = git.run("log", *options, f"{older}..{newer}")
    return [] if listed.code else decode(listed.stdout).split("\0")[-2::-1]


def diff_stat(git: Git, older: str, newer: str) -> pb.DiffStat:
    """Returns the size of the difference between two commits."""
    with trees.compared(git, older, newer, "-z", "--numstat") as pieces:
        lines = decode(b"".join(pieces)).split("\0")[:-1]
    stat = pb.DiffStat(files=len(lines))
    for line in lines:
        added, removed, _ = line.split("\t", 2)
        # git prints "-" in place of both numbers for a binary file.
        stat.insertions += int(added) if added != "-" else 0
        stat.deletions += int(removed) if removed != "-" else 0
    return stat


def cleans_setup_away(project: Project, state: WorktreeState, head: str) -> bool:
    """Returns whether a reset to `head` may remove setup's changes to files that git does not ignore.

    A later commit than the one on which setup ran contains all these changes. Otherwise any change may be
    setup's.
    """
    if head != state.set_up_at and refs.is_ancestor(project.git, state.set_up_at, head):
        return False
    return state.dirty or state.head != head


def _derived(git: Git, state: WorktreeState, tip: str) -> str:
    """Returns the newest commit below `tip` that CommitTask made for the epic, or its start."""
    for commit in git.text("rev-list", "--first-parent", f"{state.start}..{tip}").splitlines():
        trailers = commit_messages.trailers_of(_message(git, commit))
        if commit_messages.ATTEMPT in trailers and _is_of_epic(trailers, state.epic):
            return commit
    return state.start


def _is_of_epic(trailers: dict[str, str], epic: EpicName) -> bool:
    return (
        trailers.get(commit_messages.RUN) == str(epic.parent)
        and trailers.get(commit_messages.EPIC) == epic.epic
    )


def _message(git: Git, commit: str) -> str:
    content = git.content(commit)
    if content is None:
        raise failure(("cat-file", "commit", commit), Output(1, b"", f"{commit} is not there"))
    _, _, message = content.partition(b"\n\n")
    return decode(message)
