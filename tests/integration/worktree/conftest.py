"""A worktree service with a repository of its own, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import worktrees
from tests.support.repositories import make_repository
from tests.support.worktrees import Worker


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "project",
        {"README.md": "# Sample\n", "src/app.py": "print('hi')\n", ".gitignore": "cache/\n"},
    )


@pytest.fixture
async def worker(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    # The git configuration of whoever runs the tests stays out of the service.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    async with worktrees.worker(tmp_path / "home", project) as ready:
        yield ready
