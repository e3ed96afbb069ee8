"""Real git repositories for tests."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Commits of tests must not depend on the user who runs them, or on that user's git configuration.
GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def git(folder: Path, *arguments: str) -> str:
    """Returns what git prints, without the last newline; raises CalledProcessError with git's message if it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, **GIT_ENVIRONMENT},
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr)
        raise
    return done.stdout.rstrip("\n")


def git_fails(folder: Path, *arguments: str) -> None:
    """Runs a git command whose failure leaves a state to test; raises AssertionError if it succeeds."""
    try:
        said = git(folder, *arguments)
    except subprocess.CalledProcessError:
        return
    raise AssertionError(f"git {' '.join(arguments)} succeeded: {said}")


def make_repository(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Creates a repository on branch main with one commit of `files`; returns `folder`."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, text in (files or {"README.md": "# Sample\n"}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Start")
    return folder


def fast_import(folder: Path, branch: str, files: Mapping[str, str], parent: str = "") -> None:
    """Commits `files` to a branch without a checkout, on top of the branch `parent` if there is one."""
    stream = [f"commit refs/heads/{branch}", "committer Ada <ada@example.com> 0 +0000", "data 0"]
    stream += [f"from refs/heads/{parent}^0"] if parent else []
    for name, text in files.items():
        stream += [f"M 100644 inline {name}", f"data {len(text.encode())}", text]
    subprocess.run(
        ["git", "fast-import", "--quiet", "--done"],
        cwd=folder,
        input="\n".join([*stream, "done", ""]).encode(),
        check=True,
        capture_output=True,
    )
