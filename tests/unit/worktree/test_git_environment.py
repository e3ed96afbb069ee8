"""What git may hear from the service's own environment."""

import git.cmd
import pytest

from worktree_svc.git import GitVersionError, check_version, forget_inherited


def test_only_harmless_variables_of_git_are_inherited() -> None:
    """GIT_DIR and its like, as set inside a hook, are dropped; how to reach a remote is kept."""
    environ = {
        "GIT_DIR": "/x",
        "GIT_INDEX_FILE": "/y",
        "GIT_AUTHOR_NAME": "z",
        "GIT_SSH_COMMAND": "ssh",
        "PATH": "/bin",
    }
    forget_inherited(environ)
    assert environ == {"GIT_SSH_COMMAND": "ssh", "PATH": "/bin"}


def test_an_old_git_is_refused_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which git was found and which is needed."""
    monkeypatch.setattr(git.cmd.Git, "version_info", (2, 34, 1))
    with pytest.raises(GitVersionError, match=r"2\.34\.1.*2\.38"):
        check_version()


def test_a_missing_git_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git on PATH the message asks for it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitVersionError, match="Install git"):
        check_version()
