"""A plan and a small project to try Heddle with, without an agent that costs money."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from google.protobuf.duration_pb2 import Duration

from heddle import pb

PLAN: Final = Path(__file__).parent / "sample.yaml"

_FILES: Final = Path(__file__).parent / "repository"

# The sample must work, and give the same commit, even if git was never configured.
_ENVIRONMENT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    # The format that worktree_svc reads, regardless of the default of newer versions of git.
    "GIT_DEFAULT_REF_FORMAT": "files",
    "GIT_AUTHOR_NAME": "Heddle",
    "GIT_AUTHOR_EMAIL": "heddle@localhost",
    "GIT_COMMITTER_NAME": "Heddle",
    "GIT_COMMITTER_EMAIL": "heddle@localhost",
}


class SampleError(Exception):
    """The sample repository cannot be created; the message says what to do."""


def faster(plan: pb.Plan, speed: float) -> pb.Plan:
    """Returns a copy of a plan whose scripted agents wait `speed` times shorter, also for answers."""
    quick = pb.Plan()
    quick.CopyFrom(plan)
    for task in (task for epic in quick.epics for task in epic.tasks):
        for step in task.script:
            if step.HasField("wait"):
                _shorten(step.wait.duration, speed)
        for duration in (task.estimate, task.permissions.wait):
            if duration.ToNanoseconds():
                _shorten(duration, speed)
    return quick


def _shorten(duration: Duration, speed: float) -> None:
    duration.FromNanoseconds(max(1, round(duration.ToNanoseconds() / speed)))


def make_sample_repository(path: Path) -> None:
    """Creates the sample project as a git repository with one commit on branch main.

    Idempotent: a repository with a commit is left unchanged, and an interrupted
    creation is completed. Raises SampleError if `path` contains other
    files, if it cannot be written, or if git is missing.
    """
    try:
        if _has_commit(path):
            return
        _copy_files(path)
        _git(path, "init", "--quiet", "--initial-branch=main")
        _git(path, "add", "--all")
        _git(path, "commit", "--quiet", "--message=Start the todo list")
    except FileNotFoundError as error:
        if error.filename != "git":
            raise SampleError(f"cannot write the sample project to {path}: {error}") from error
        raise SampleError("git is not installed; install it with your system's package manager") from error
    except OSError as error:
        raise SampleError(f"cannot write the sample project to {path}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise SampleError(
            f"git cannot create the sample project in {path}: {error.stderr.strip()}"
        ) from error


def _has_commit(path: Path) -> bool:
    # Without its own .git, git would use a repository further up.
    return (path / ".git").exists() and _answers(path, "rev-parse", "--verify", "--quiet", "HEAD")


def _copy_files(path: Path) -> None:
    if path.exists() and not (path / ".git").exists():
        known = {each.name for each in _FILES.iterdir()} | {".gitignore"}
        foreign = sorted(each.name for each in path.iterdir() if each.name not in known)
        if foreign:
            raise SampleError(f"{path} holds other files ({foreign[0]}); use a new or empty folder")
    shutil.copytree(
        _FILES, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "gitignore")
    )
    # Under its real name it would exclude files from Heddle's own package.
    shutil.copyfile(_FILES / "gitignore", path / ".gitignore")


def _git(path: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(path), *arguments],
        env=_environment(),
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
    )


def _answers(path: Path, *arguments: str) -> bool:
    done = subprocess.run(
        ["git", "-C", str(path), *arguments], env=_environment(), check=False, capture_output=True
    )
    return done.returncode == 0


def _environment() -> dict[str, str]:
    # GIT_DIR and similar variables of a caller, such as a git hook, would point to its repository.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return inherited | _ENVIRONMENT
