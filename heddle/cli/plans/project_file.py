"""What a project's .heddle.yaml will do, for commands that need no server."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heddle import pb
from heddle.cli.console import words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.project import file as project_file
from heddle.project.file import NAME, LoadedProject


@dataclass(frozen=True)
class Committed:
    """The file of a commit. `loaded` is None where the commit has none."""

    commit: str
    loaded: LoadedProject | None
    # True: the file in the checkout is another one, which no run takes.
    changed: bool


def read(repo: Path, base: str) -> Committed:
    """Reads the file as a run from `base` would take it; raises Failure where there is no such commit."""
    commit = _git(
        repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base or 'HEAD'}^{{commit}}"
    )
    if commit is None:
        raise Failure(f"{repo} is no git repository, or has no commit {base or 'HEAD'}", BAD_INPUT)
    name = commit.decode().strip()
    content = _git(repo, "cat-file", "blob", f"{name}:{NAME}")
    top = _git(repo, "rev-parse", "--show-toplevel")
    lying = Path(top.decode().removesuffix("\n"), NAME) if top else None
    now = lying.read_bytes() if lying and lying.is_file() else None
    loaded = None if content is None else project_file.parse(content)
    return Committed(name, loaded, changed=top is not None and now != content)


def report(found: Committed) -> Iterator[str]:
    """Yields what the file will do to every epic of a run."""
    source = f"{NAME} at {found.commit[:10]}"
    if found.loaded is None:
        yield f"{source}: there is none; an epic finds what git has, and nothing runs before its agents"
    else:
        yield f"{source}:"
        yield from (f"  {line}" for line in _effects(found.loaded.file))
    if found.changed:
        yield f"  {NAME} in the checkout is another one: commit it if runs are to take it"


def _effects(file: pb.ProjectFile) -> Iterator[str]:
    if file.copy:
        yield f"copied from your checkout into each worktree: {', '.join(file.copy)}"
    for link in file.link:
        cached = link.source == pb.LINK_SOURCE_CACHE
        where = "a folder that Heddle keeps for the project" if cached else "your checkout"
        yield f"linked: {link.path} from {where}, shared by all worktrees"
    if file.ports:
        yield f"{words.count(file.ports, 'port')} for each epic, in HEDDLE_PORTS"
    if file.env:
        yield f"variables: {', '.join(sorted(file.env))}"
    yield from (f"setup, once in each worktree: {_line(command)}" for command in file.setup)
    yield from (
        f"check of tasks that list none, unless the plan has default ones: {check.name}"
        for check in file.checks
    )
    yield from (f"teardown, before a worktree is removed: {_line(command)}" for command in file.teardown)
    if file.allow_files:
        yield f"new files that tasks may commit though they look as if they should not: {', '.join(file.allow_files)}"
    if not file.ByteSize():
        yield "says nothing"


def _line(command: str) -> str:
    return words.plain(" ".join(command.split()))


def _git(repo: Path, *arguments: str) -> bytes | None:
    """Returns what git prints; None where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repo), *arguments], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"git does not run: {error}") from error
    return done.stdout if done.returncode == 0 else None
