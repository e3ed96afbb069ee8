"""A project behind ssh and a key."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from heddle import pb
from tests.support import git_over_ssh, worktrees
from tests.support.git_over_ssh import HOST
from tests.support.repositories import git
from tests.support.worktrees import Worker, refused
from worktree_svc.projects import mirrors

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="git has no ssh here to connect with")


@pytest.fixture
async def settings(tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The ssh settings of the service's user, who has a key and knows the server."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(mirrors, "PAUSES", (0.0,))
    async with git_over_ssh.serving(remote.parent, tmp_path) as kept:
        monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {kept}")
        yield kept


@pytest.mark.usefixtures("settings")
async def test_a_project_behind_ssh(tmp_path: Path, remote: Path) -> None:
    """Both forms of its URL share one mirror, which is cloned without old blobs and pushed to."""
    url = f"{HOST}:app.git"
    async with worktrees.worker(tmp_path / "home", remote) as ready:
        worker: Worker = replace(ready, url=url)
        first = await worker.inspect(url, into="trunk")
        assert (first.project, first.base_commit) == (url, git(remote, "rev-parse", "trunk"))
        assert (await worker.inspect(f"ssh://{HOST}/app")).project == url
        (mirror,) = (worker.home / "mirrors").iterdir()
        missing = git(mirror, "rev-list", "--objects", "--all", "--missing=print").count("?")
        assert missing == 3
        path = await worktrees.merge_a_task(worker, remote, first.base_commit)
        assert (path / "README.md").read_text() == "# Sample\n"


@pytest.mark.parametrize(
    ("lacking", "message"), [("known_hosts", "Host key verification failed"), ("key", "Permission denied")]
)
async def test_a_server_that_is_not_known(
    tmp_path: Path, remote: Path, settings: Path, lacking: str, message: str
) -> None:
    """Without the host's key or a private key, the error says what to do; git never prompts for either."""
    settings.with_name(lacking).unlink()
    async with worktrees.worker(tmp_path / "home", remote) as worker:
        error = await refused(worker.inspect(f"ssh://{HOST}/app.git"))
    assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
    assert message in error.message
    assert "git ls-remote" in error.message
