"""A worktree service and a repository for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import worktrees
from tests.support.repositories import fast_import, git, make_repository
from tests.support.worktrees import Worker


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "project",
        {"README.md": "# Sample\n", "src/app.py": "print('hi')\n", ".gitignore": "cache/\n"},
    )


@pytest.fixture
async def worker(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    # The service must not see the git configuration of the user who runs the tests.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    async with worktrees.worker(tmp_path / "home", project) as ready:
        yield ready


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository whose default branch is trunk."""
    folder = tmp_path / "remote" / "app.git"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=trunk")
    git(folder, "config", "uploadpack.allowFilter", "true")
    fast_import(folder, "trunk", {"README.md": "# Old\n", "a.txt": "a\n"})
    fast_import(folder, "trunk", {"README.md": "# Sample\n"}, "trunk")
    return folder
