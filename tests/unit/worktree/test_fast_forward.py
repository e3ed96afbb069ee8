"""A fast-forward is detected from commit objects and gives the same tree as git's merge."""

from pathlib import Path

import pytest

from tests.support.repositories import git, make_repository
from worktree_svc.git.process.command import Git
from worktree_svc.merges import fast_forward


class Commits:
    """Writes commit objects with any parents and times."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def add(self, seconds: int, *parents: str, more: str = "", message: str = "Work") -> str:
        (self.project / "a.txt").write_text(f"{seconds} after {parents}\n")
        git(self.project, "add", "--all")
        head = [f"tree {git(self.project, 'write-tree')}", *(f"parent {parent}" for parent in parents)]
        who = "Ada <ada@example.com>"
        text = "\n".join(
            [*head, f"author {who} 7 +0000", f"committer {who} {seconds} +0130{more}", "", message]
        )
        file = self.project / ".git/commit.txt"
        file.write_text(f"{text}\n")
        return git(self.project, "hash-object", "-t", "commit", "-w", str(file))

    def found(self, source: str, onto: str) -> str | None:
        repository = Git(self.project / ".git", git_dir=self.project / ".git")
        return fast_forward.tree_of(repository, source, onto)

    def merged(self, source: str, onto: str) -> str:
        return git(self.project, "merge-tree", "--write-tree", onto, source)


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    return Commits(make_repository(tmp_path / "project"))


def test_a_target_below_the_source_gets_its_tree(commits: Commits) -> None:
    """The target is the source itself, its parent, an older ancestor, or a first-parent ancestor of a merge."""
    onto = commits.add(100)
    signature = "\ngpgsig -----BEGIN\n parent 0000\n -----END"
    one = commits.add(100, onto, more=signature, message=f"Work\n\nparent {onto}\n")
    other = commits.add(300)
    merge = commits.add(400, one, other)
    for source in (onto, one, merge):
        tree = git(commits.project, "rev-parse", f"{source}^{{tree}}")
        assert commits.found(source, onto) == tree == commits.merged(source, onto)


def test_other_merges_are_left_to_git(commits: Commits) -> None:
    """Git decides if the target diverged, is newer or only a second-parent ancestor, or a commit is missing."""
    start = commits.add(100)
    source = commits.add(200, start)
    diverged = commits.add(150, start)
    above = commits.add(300, source)
    merge = commits.add(400, source, diverged)
    for newer, older in (
        (source, diverged),
        (source, above),
        (merge, diverged),
        (source, "0" * 40),
        ("0" * 40, start),
    ):
        assert commits.found(newer, older) is None
    parentless = commits.add(500, "0" * 40)
    assert commits.found(parentless, start) is None


def test_a_wrong_clock_only_makes_git_be_asked(commits: Commits) -> None:
    """A commit dated before its ancestor is treated as unrelated, so git decides."""
    onto = commits.add(1_000)
    behind = commits.add(10, onto)
    assert commits.found(behind, onto) is None
    assert commits.found(commits.add(2_000, behind), onto) is None


def test_a_long_way_is_not_walked(commits: Commits) -> None:
    """Up to the limit of steps the answer is found; one commit beyond it, git decides."""
    onto = commits.add(1)
    sources = [onto]
    for seconds in range(2, fast_forward.MOST_STEPS + 2):
        sources.append(commits.add(seconds, sources[-1]))
    assert commits.found(sources[-2], onto)
    assert commits.found(sources[-1], onto) is None
