"""A worktree is registered as by `git worktree add`, but other git processes see it only when it is complete."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.support.repositories import git, make_repository
from worktree_svc.git import worktree_registration


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project")


def test_a_registration_has_the_files_that_git_writes(project: Path) -> None:
    """Every file except the reflogs has the content that git writes, including per-worktree settings."""
    git(project, "config", "core.logAllRefUpdates", "false")
    git(project, "config", "extensions.worktreeConfig", "true")
    git(project, "config", "--worktree", "user.email", "ada@worktree")
    git(project, "config", "--worktree", "core.worktree", str(project))
    commit = git(project, "rev-parse", "HEAD")
    path = project.parent / "linked"

    def registered() -> dict[str, bytes]:
        folder = project / ".git/worktrees/linked"
        assert git(path, "status", "--porcelain=2", "--branch").splitlines()[1] == "# branch.head (detached)"
        found = {
            str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()
        }
        found["pointer"] = (path / ".git").read_bytes()
        # Files that a first git status creates, and git's own ORIG_HEAD.
        return {name: content for name, content in found.items() if name not in {"index", "ORIG_HEAD"}}

    git(project, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(path), commit)
    theirs = registered()
    git(project, "worktree", "remove", "--force", str(path))
    worktree_registration.add(project / ".git", path, commit)
    assert registered() == theirs
    assert {"HEAD", "commondir", "gitdir", "config.worktree"} <= theirs.keys()


@pytest.mark.parametrize(
    ("value", "file", "folder"),
    [
        ("group", 0o660, 0o2770),
        ("true", 0o660, 0o2770),
        ("world", 0o664, 0o2775),
        ("0640", 0o640, 0o2750),
        ("umask", 0o600, 0o700),
    ],
)
def test_a_registration_is_shared_as_its_repository(
    project: Path, value: str, file: int, folder: int
) -> None:
    """With core.sharedRepository, the group can use the registration whatever the umask of the service."""
    git(project, "config", "core.sharedRepository", value)
    commit = git(project, "rev-parse", "HEAD")
    mask = os.umask(0o077)
    try:
        worktree_registration.add(project / ".git", project.parent / "linked", commit)
    finally:
        os.umask(mask)
    parent = project / ".git" / "worktrees"
    linked = parent / "linked"
    assert {stat.S_IMODE((linked / name).stat().st_mode) for name in ("HEAD", "gitdir", "commondir")} == {
        file
    }
    assert {stat.S_IMODE(each.stat().st_mode) for each in (parent, linked)} == {folder}


def test_a_sparse_checkout_stays_the_users_own(tmp_path: Path) -> None:
    """Worktrees of a repository with a sparse checkout contain all files after any git command."""
    project = make_repository(tmp_path / "sparse", {"README.md": "# Sample\n", "src/app.py": "app\n"})
    git(project, "sparse-checkout", "set", "--cone", "--sparse-index", "docs")
    commit = git(project, "rev-parse", "HEAD")
    path = project.parent / "linked"
    worktree_registration.add(project / ".git", path, commit)
    git(path, "reset", "--quiet", "--hard")
    assert sorted(git(path, "ls-files", "-t").splitlines()) == ["H README.md", "H src/app.py"]
    assert (path / "src" / "app.py").exists()


def test_a_name_that_another_worktree_has_gets_a_number(project: Path) -> None:
    """Two worktrees with the same name get two folders, and git lists both."""
    commit = git(project, "rev-parse", "HEAD")
    for parent in ("one", "two"):
        (project.parent / parent).mkdir()
        worktree_registration.add(project / ".git", project.parent / parent / "api", commit)
    assert sorted(folder.name for folder in (project / ".git/worktrees").iterdir()) == ["api", "api1"]
    assert git(project, "worktree", "list", "--porcelain").count(commit) == 3


def test_no_other_git_process_fails_meanwhile(project: Path) -> None:
    """Other git processes see each new worktree completely or not at all."""
    commit = git(project, "rev-parse", "HEAD")
    done = threading.Event()

    def register() -> None:
        try:
            for number in range(60):
                worktree_registration.add(project / ".git", project.parent / f"linked{number}", commit)
        finally:
            done.set()

    thread = threading.Thread(target=register)
    thread.start()
    looks = 0
    while not done.is_set():
        git(project, "worktree", "list")
        git(project, "worktree", "prune")
        looks += 1
    thread.join()
    assert looks
    assert git(project, "worktree", "list").count("(detached HEAD)") == 60
