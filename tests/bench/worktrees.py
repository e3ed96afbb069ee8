"""The worktree service beside the git commands that do the same, on a generated repository.

Each of ours is a call over gRPC on a service in this process. git has its own
settings, so unlike ours its commit does not wait for the disk.
HEDDLE_BENCH_FILES sets the size of the repository: 5,000 files if absent.
"""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from heddle import pb
from tests.bench.table import Table, milliseconds
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt

FILES: Final = int(os.environ.get("HEDDLE_BENCH_FILES", "5000"))
ROUNDS: Final = 15
EPICS: Final = 50

# Files that one task changes, and lines of a file.
CHANGED: Final = 10
LINES: Final = 40

# What a busy operator's fifty epics do together in a minute.
COMMITS_A_MINUTE: Final = 50


async def run() -> Table:
    """Measures each call and its git command in turn; takes about half a minute."""
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        names = [f"folder{number % 97}/file{number}.txt" for number in range(FILES)]
        project = make_repository(top / "project", {name: _text(name) for name in names})
        async with worktrees.worker(top / "home", project) as worker:
            rows = [
                await _worktree(worker, top),
                await _checkpoint(worker, top, names),
                await _diff(worker),
                await _preview(worker),
                *await _radar(worker, names),
            ]
    return Table(
        title="Worktrees beside git",
        conditions=f"{FILES} files of {LINES} lines; median of {ROUNDS}, each beside the other;"
        f" a task changes {CHANGED} files.",
        head=["what", "Heddle, ms", "git, ms", "Heddle ÷ git"],
        rows=rows,
    )


def _text(seed: str) -> str:
    return "".join(f"{seed} line {number}\n" for number in range(LINES))


async def _worktree(worker: Worker, top: Path) -> list[str]:
    async def ours(number: int) -> None:
        await worker.ready(attempt(f"new{number}"))

    async def theirs(number: int) -> None:
        worker.git("worktree", "add", "--quiet", "-b", f"plain{number}", str(top / f"plain{number}"), "main")

    return await _compared("a new worktree (git worktree add)", ours, theirs)


async def _checkpoint(worker: Worker, top: Path, names: list[str]) -> list[str]:
    async def ours(number: int) -> None:
        await worker.commit(attempt("new0", f"t{number}"))

    async def theirs(number: int) -> None:
        git(top / "plain0", "add", "--all")
        git(top / "plain0", "commit", "--quiet", f"--message=Task {number}")

    async def before(number: int) -> None:
        path = await worker.ready(attempt("new0", f"t{number}"))
        for folder in (path, top / "plain0"):
            _change(folder, names[number * CHANGED : (number + 1) * CHANGED], f"{number}")

    return await _compared("a checkpoint (git add, git commit)", ours, theirs, before)


async def _diff(worker: Worker) -> list[str]:
    async def ours(_: int) -> None:
        request = pb.DiffRevisionsRequest(
            project=str(worker.project), from_revision="main", to_revision="heddle/r1/epics/new0"
        )
        assert [piece async for piece in worker.stub.DiffRevisions(request)]

    async def theirs(_: int) -> None:
        assert worker.git("diff", "main", "plain0")

    return await _compared("a diff (git diff)", ours, theirs)


async def _preview(worker: Worker) -> list[str]:
    worker.git("branch", "target", "plain1")

    async def ours(_: int) -> None:
        assert (await worker.merge("heddle/r1/epics/new0", "target", preview=True)).merged.tree

    async def theirs(_: int) -> None:
        worker.git("merge-tree", "--write-tree", "target", "plain0")

    return await _compared("a merge preview (git merge-tree)", ours, theirs)


async def _radar(worker: Worker, names: list[str]) -> list[list[str]]:
    """Fifty epics, of which neighbours change a common file; each round one of them commits."""
    branches = [f"heddle/r1/epics/e{number}" for number in range(EPICS)]
    for number, branch in enumerate(branches):
        _commit(worker.project, branch, "main", names[number * CHANGED : (number + 1) * CHANGED + 1])
    begun = time.perf_counter()
    found = await worker.predict(*branches)
    first = time.perf_counter() - begun
    took, cores = [], []
    for number in range(ROUNDS):
        _commit(worker.project, branches[number], branches[number], names[number * CHANGED :][:CHANGED])
        begun, busy = time.perf_counter(), _processor_seconds()
        found = await worker.predict(*branches)
        took.append(time.perf_counter() - begun)
        cores.append(_processor_seconds() - busy)
    share = statistics.median(cores) * COMMITS_A_MINUTE / 60
    return [
        [
            f"radar, {EPICS} epics, first look ({len(found.pairs)} pairs conflict)",
            milliseconds(first),
            "",
            "",
        ],
        [f"radar, {EPICS} epics, after one commit", milliseconds(statistics.median(took)), "", ""],
        [f"radar, {COMMITS_A_MINUTE} commits a minute: share of one core", f"{share:.1%}", "", ""],
    ]


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _commit(project: Path, branch: str, parent: str, names: list[str]) -> None:
    """Commits to a branch without a checkout: fifty worktrees would take longer than what is measured."""
    stream = [f"commit refs/heads/{branch}", "committer Ada <ada@example.com> 0 +0000", "data 0"]
    stream.append(f"from refs/heads/{parent}^0")
    for name in names:
        text = _text(name).replace("line 7\n", f"line 7, {branch}, {time.perf_counter()}\n")
        stream += [f"M 100644 inline {name}", f"data {len(text)}", text]
    subprocess.run(
        ["git", "fast-import", "--quiet", "--done"],
        cwd=project,
        input="\n".join([*stream, "done", ""]).encode(),
        check=True,
        capture_output=True,
    )


def _change(folder: Path, names: list[str], word: str) -> None:
    for name in names:
        path = folder / name
        path.write_text(path.read_text().replace("line 7\n", f"line 7, {word}\n"))


async def _nothing(_: int) -> None:
    """Prepares nothing."""


async def _compared(
    name: str,
    ours: Callable[[int], Awaitable[None]],
    theirs: Callable[[int], Awaitable[None]],
    before: Callable[[int], Awaitable[None]] = _nothing,
) -> list[str]:
    figures: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        await before(number)
        for call, seconds in zip((ours, theirs), figures, strict=True):
            begun = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - begun)
    one, other = (statistics.median(seconds) for seconds in figures)
    return [name, milliseconds(one), milliseconds(other), f"{one / other:.2f}"]
