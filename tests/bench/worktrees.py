"""The worktree service compared with the git commands that do the same, on a generated repository.

Each measured call goes over gRPC to a service in this process. git has its default
settings, so its commit, unlike the service's, does not wait for the disk.
HEDDLE_BENCH_FILES sets the size of the repository: 5,000 files if absent.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from heddle import pb
from tests.bench.table import Table, milliseconds
from tests.support import worktrees
from tests.support.repositories import fast_import, git
from tests.support.worktrees import Worker, attempt

FILES: Final = int(os.environ.get("HEDDLE_BENCH_FILES", "5000"))
ROUNDS: Final = 15
WORKTREES: Final = 5
EPICS: Final = 50

# Files that one task changes, and lines of a file.
CHANGED: Final = 10
LINES: Final = 40

# The pause before each measured call.
CALM_SECONDS: Final = 0.05

# The commits of fifty epics of a busy operator in a minute.
COMMITS_A_MINUTE: Final = 50


async def run() -> Table:
    """Measures each call and its git command in turn; takes a minute or two, eight for 50,000 files."""
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        names = [f"folder{number % 97}/file{number}.txt" for number in range(FILES)]
        project = top / "project"
        project.mkdir()
        git(project, "init", "--quiet", "--bare", "--initial-branch=main")
        fast_import(project, "main", {name: _text(name) for name in names})
        async with worktrees.worker(top / "home", project) as worker:
            rows = [
                await _worktree(worker, top),
                await _several(worker, top),
                await _prepared(worker, top),
                await _checkpoint(worker, top, names),
                await _diff(worker),
                *await _previews(worker, names),
                *await _forecaster(worker, names),
            ]
    return Table(
        title="Worktrees beside git",
        conditions=f"{FILES} files of {LINES} lines; median of {ROUNDS} (of {WORKTREES} for worktrees), each beside"
        f" the other, and of the rounds' ratios; a task changes {CHANGED} files.",
        head=["what", "Heddle, ms", "git, ms", "Heddle ÷ git"],
        rows=rows,
    )


def _text(seed: str) -> str:
    return "".join(f"{seed} line {number}\n" for number in range(LINES))


def _add(worker: Worker, top: Path, name: str) -> None:
    worker.git("worktree", "add", "--quiet", "-b", name, str(top / name), "main")


async def _worktree(worker: Worker, top: Path) -> list[str]:
    async def ours(number: int) -> None:
        await worker.ready(attempt(f"new{number}"))

    async def theirs(number: int) -> None:
        _add(worker, top, f"plain{number}")

    name = "a new worktree (git worktree add)"
    return await _compared(name, ours, theirs, rest=_written, rounds=WORKTREES)


async def _several(worker: Worker, top: Path) -> list[str]:
    async def ours(number: int) -> None:
        await asyncio.gather(*(worker.ready(attempt(f"at-once{number}-{one}")) for one in range(4)))

    async def theirs(number: int) -> None:
        for one in range(4):
            _add(worker, top, f"in-turn{number}-{one}")

    name = "four new worktrees at once (git: in turn)"
    return await _compared(name, ours, theirs, rest=_written, rounds=WORKTREES)


async def _prepared(worker: Worker, top: Path) -> list[str]:
    """Measures a separate service, whose pool has one worktree ready before each round."""
    async with worktrees.worker(top / "pooled", worker.project, pool=1) as pooled:
        await pooled.ready(attempt("first", run="r2"))

        async def ours(number: int) -> None:
            await pooled.ready(attempt(f"pooled{number}", run="r2"))

        async def theirs(number: int) -> None:
            _add(worker, top, f"unpooled{number}")

        async def before(_: int) -> None:
            while not any(  # noqa: ASYNC110 (a thread causes it: there is no event to wait for)
                '"ready": true' in path.read_text() for path in (top / "pooled/pool").glob("*.json")
            ):
                await asyncio.sleep(0.05)

        name = "a worktree from the pool (git worktree add)"
        return await _compared(name, ours, theirs, before, rest=_written, rounds=WORKTREES)


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


async def _previews(worker: Worker, names: list[str]) -> list[list[str]]:
    """Merges the epic's work into a target at the epic's start, and into one with as many new commits."""
    worker.git("branch", "still", "plain1")
    begin, end = FILES // 2, FILES // 2 + ROUNDS * CHANGED
    _commit(worker.project, "moved", "main", names[begin:end])
    rows = []
    for target, told in (("still", "into where it began"), ("moved", "into what others changed too")):

        async def ours(_: int, target: str = target) -> None:
            assert (await worker.merge("heddle/r1/epics/new0", target, preview=True)).merged.tree

        async def theirs(_: int, target: str = target) -> None:
            worker.git("merge-tree", "--write-tree", target, "plain0")

        rows.append(await _compared(f"a merge preview {told} (git merge-tree)", ours, theirs))
    return rows


async def _forecaster(worker: Worker, names: list[str]) -> list[list[str]]:
    """Measures fifty epics whose neighbours change a common file; in each round, one epic commits."""
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
            f"conflict forecast, {EPICS} epics, first call ({len(found.pairs)} pairs conflict)",
            milliseconds(first),
            "",
            "",
        ],
        [
            f"conflict forecast, {EPICS} epics, after one commit",
            milliseconds(statistics.median(took)),
            "",
            "",
        ],
        [
            f"conflict forecast, {COMMITS_A_MINUTE} commits a minute: share of one core",
            f"{share:.1%}",
            "",
            "",
        ],
    ]


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _commit(project: Path, branch: str, parent: str, names: list[str]) -> None:
    """Commits to a branch without a checkout: fifty worktrees would take longer than the measurement."""
    word = f"{branch}, {time.perf_counter()}"
    texts = {name: _text(name).replace("line 7\n", f"line 7, {word}\n") for name in names}
    fast_import(project, branch, texts, parent)


def _change(folder: Path, names: list[str], word: str) -> None:
    for name in names:
        path = folder / name
        path.write_text(path.read_text().replace("line 7\n", f"line 7, {word}\n"))


async def _nothing(_: int) -> None:
    """Does no preparation."""


async def _calm() -> None:
    """Waits for deferred work of the previous call, so that neither side pays for the other."""
    await asyncio.sleep(CALM_SECONDS)


async def _written() -> None:
    """Syncs the files of the previous call to the disk, then waits like `_calm`."""
    await asyncio.to_thread(os.sync)
    await _calm()


async def _compared(
    name: str,
    ours: Callable[[int], Awaitable[None]],
    theirs: Callable[[int], Awaitable[None]],
    before: Callable[[int], Awaitable[None]] = _nothing,
    *,
    rest: Callable[[], Awaitable[None]] = _calm,
    rounds: int = ROUNDS,
) -> list[str]:
    figures: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        await before(number)
        for call, seconds in zip((ours, theirs), figures, strict=True):
            await rest()
            begun = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - begun)
    one, other = map(statistics.median, figures)
    # Computed for adjacent pairs, so that other load on the machine affects both equally.
    ratio = statistics.median(one / other for one, other in zip(*figures, strict=True))
    return [name, milliseconds(one), milliseconds(other), f"{ratio:.3f}"]
