"""A project behind https and a password, served by git's own http-backend."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heddle import pb
from tests.support import certificates, smart_http, worktrees
from tests.support.repositories import fast_import, git
from tests.support.worktrees import Worker, refused
from worktree_svc.projects import mirrors


@pytest.fixture
def url(tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The remote's URL; the service's user trusts the server and has a credential helper with the password."""
    tls = certificates.make(tmp_path / "server")
    with smart_http.serving(remote.parent, tls) as served:
        said = f"echo username={smart_http.USER}; echo password={smart_http.PASSWORD}"
        settings = tmp_path / "gitconfig"
        settings.write_text(
            f'[http]\n\tsslCAInfo = {tls.authority}\n[credential "{served}"]\n\thelper = "!f() {{ {said}; }}; f"\n'
        )
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        # It would take precedence over the settings.
        monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
        monkeypatch.setattr(mirrors, "PAUSES", (0.0,))
        yield f"{served}/app.git"


async def test_a_project_behind_https(tmp_path: Path, remote: Path, url: str) -> None:
    """The project is cloned without old blobs, fetched before each run and pushed; no credential is stored."""
    async with worktrees.worker(tmp_path / "home", remote) as ready:
        worker: Worker = replace(ready, url=url)
        first = await worker.inspect(url, into="trunk")
        assert (first.project, first.base_commit) == (url, git(remote, "rev-parse", "trunk"))
        (mirror,) = (worker.home / "mirrors").iterdir()
        missing = git(mirror, "rev-list", "--objects", "--all", "--missing=print").count("?")
        assert missing == 3
        fast_import(remote, "trunk", {"README.md": "# Newer\n"}, "trunk")
        second = await worker.inspect(url, into="trunk")
        assert second.base_commit == git(remote, "rev-parse", "trunk") != first.base_commit
        path = await worktrees.merge_a_task(worker, remote, second.base_commit)
        assert (path / "README.md").read_text() == "# Newer\n"
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and not path.is_symlink()]
    assert kept
    assert not any(smart_http.PASSWORD.encode() in path.read_bytes() for path in kept)


async def test_a_server_that_is_not_trusted(
    tmp_path: Path, remote: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An untrusted certificate or a missing password is an error that says what to do; git never prompts."""
    async with worktrees.worker(tmp_path / "home", remote) as worker:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        error = await refused(worker.inspect(url))
        assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
        assert "certificate" in error.message
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "server/ca.pem"))
        error = await refused(worker.inspect(url))
        assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
        assert "could not read Username" in error.message
        assert "git ls-remote" in error.message
