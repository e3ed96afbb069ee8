"""Which variables git inherits from the service's environment."""

import git.cmd
import pytest

from heddle import pb
from worktree_svc.git.process.command import Output, failure
from worktree_svc.git.process.environment import forget_inherited
from worktree_svc.git.version import GitVersionError, check_version


def test_only_harmless_variables_of_git_are_inherited() -> None:
    """GIT_DIR and similar variables, as set inside a hook, are dropped; variables for reaching a remote are kept."""
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
    """The message names the installed and the required version."""
    monkeypatch.setattr(git.cmd.Git, "version_info", (2, 34, 1))
    with pytest.raises(GitVersionError, match=r"2\.34\.1.*2\.39"):
        check_version()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("fatal: write error: No space left on device", pb.ERROR_REASON_DISK_FULL),
        ("error: Disk quota exceeded", pb.ERROR_REASON_DISK_FULL),
        ("fatal: sha1 file 'index.lock' write error. Out of diskspace", pb.ERROR_REASON_DISK_FULL),
        ("fatal: something else", pb.ERROR_REASON_GIT_FAILED),
        ("", pb.ERROR_REASON_GIT_FAILED),
    ],
)
def test_a_failure_contains_the_message_of_git(said: str, reason: "pb.ErrorReason.ValueType") -> None:
    """A full disk has its own reason; every other error contains git's message and the command."""
    error = failure(("add", "--all"), Output(128, b"", said))
    assert error.reason == reason
    assert (said or "exit code 128") in error.message
    assert error.metadata["command"] == "git add --all"


def test_a_missing_git_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """If git is not on PATH, the error asks to install it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitVersionError, match="Install git"):
        check_version()
