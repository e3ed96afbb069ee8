"""The effects of a project's .heddle.yaml, for commands that need no server."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heddle import labels, pb
from heddle.cli.console import words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.project import file as project_file
from heddle.project.file import NAME, LoadedProject


@dataclass(frozen=True)
class Committed:
    """The project file of a commit. `loaded` is None if the commit has none."""

    commit: str
    loaded: LoadedProject | None
    # True: the file in the checkout differs; runs do not use that one.
    changed: bool


def read(repo: Path, base: str) -> Committed:
    """Reads the file as a run from `base` would; raises Failure if there is no such commit."""
    commit = _git(
        repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base or 'HEAD'}^{{commit}}"
    )
    if commit is None:
        raise Failure(f"{repo} is not a git repository, or has no commit {base or 'HEAD'}", BAD_INPUT)
    name = commit.decode().strip()
    content = _git(repo, "cat-file", "blob", f"{name}:{NAME}")
    top = _git(repo, "rev-parse", "--show-toplevel")
    in_checkout = Path(top.decode().removesuffix("\n"), NAME) if top else None
    now = in_checkout.read_bytes() if in_checkout and in_checkout.is_file() else None
    loaded = None if content is None else project_file.parse(content)
    return Committed(name, loaded, changed=top is not None and now != content)


def report(found: Committed) -> Iterator[str]:
    """Yields the effects of the file on every epic of a run."""
    source = f"{NAME} at {found.commit[:10]}"
    if found.loaded is None:
        yield f"{source}: not found; worktrees contain only committed files, and no setup runs before agents"
    else:
        yield f"{source}:"
        yield from (f"  {line}" for line in _effects(found.loaded.file))
    if found.changed:
        yield f"  {NAME} in the checkout differs: commit it to use it in runs"


def _effects(file: pb.ProjectFile) -> Iterator[str]:
    if file.copy:
        yield f"copied from your checkout into each worktree: {', '.join(file.copy)}"
    for link in file.link:
        cached = link.source == pb.LINK_SOURCE_CACHE
        where = (
            "a cache folder that Heddle keeps for the project"
            if cached
            else "your checkout, where agents can change it (only if HEDDLE_LINKED_CHECKOUTS of the worker names it)"
        )
        yield f"linked: {link.path} from {where}, shared by all worktrees"
    if file.ports:
        yield f"{words.count(file.ports, 'port')} for each epic, in HEDDLE_PORTS"
    if file.place:
        where = labels.text(file.place)
        yield f"epics of runs on a URL work on workers with {where}, unless the plan has other values"
    if file.env:
        yield f"variables: {', '.join(sorted(file.env))}"
    yield from (f"setup, once in each worktree: {_line(command)}" for command in file.setup)
    yield from (
        f"check for tasks without checks, unless the plan has default checks: {check.name}"
        for check in file.checks
    )
    yield from (f"teardown, before a worktree is removed: {_line(command)}" for command in file.teardown)
    if file.allow_files:
        yield f"new files that tasks may commit although they would otherwise be rejected: {', '.join(file.allow_files)}"
    if not file.ByteSize():
        yield "no settings"


def _line(command: str) -> str:
    return words.plain(" ".join(command.split()))


def _git(repo: Path, *arguments: str) -> bytes | None:
    """Returns the output of git; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repo), *arguments], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"git does not run: {error}") from error
    return done.stdout if done.returncode == 0 else None
