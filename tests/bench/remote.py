"""Acceptances a second that a project's remote takes, by how many places push at once and how many epics it knows.

Each place has a mirror of its own. An acceptance is the real one: an atomic push of the claim, the accepted commit and
the branch, compared by the remote. The remote is a bare repository, reached by its path or through git's own http-backend.
"""

import asyncio
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

from heddle.names import EpicName, RunName
from tests.bench.table import Table, milliseconds
from tests.support import certificates, smart_http
from tests.support.repositories import fast_import, git
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.waiting_processes import WaitingProcesses
from worktree_svc.projects import claims, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.projects.repository import Project

# Places that push at once, epics of earlier runs that the remote knows, with three refs each, and whether these have
# been removed.
SIZES: Final = (
    (1, 0, False),
    (4, 0, False),
    (16, 0, False),
    (4, 1_000, False),
    (4, 10_000, False),
    (4, 1_000, True),
)

EPICS_OF_A_RUN: Final = 20

# Acceptances of each place.
PUSHES: Final = 6


async def run() -> Table:
    """Returns the table of this subject."""
    return await asyncio.to_thread(measure)


def measure() -> Table:
    """Returns seconds and processor time of an acceptance."""
    rows = []
    for way in ("a path", "https"):
        for places, epics, removed in SIZES:
            took, rate, processor = _measure(way, places, epics, removed=removed)
            rows.append(
                [
                    f"{way}, {places} at once, {epics:,} epics{', removed' if removed else ''}",
                    milliseconds(took),
                    f"{rate:.1f}",
                    milliseconds(processor),
                ]
            )
    head = ["remote", "median ms of an acceptance", "acceptances a second", "processor ms of each"]
    return Table("Remote", f"{PUSHES} acceptances of each place.", head, rows)


def _measure(way: str, places: int, epics: int, *, removed: bool) -> tuple[float, float, float]:
    """Returns the median time of an acceptance, acceptances a second, and the processor time of each."""
    with tempfile.TemporaryDirectory(prefix="heddle-remote-") as name, ExitStack() as stack:
        folder = Path(name)
        remote = folder / "remote" / "app.git"
        remote.mkdir(parents=True)
        git(remote, "init", "--quiet", "--bare", "--initial-branch=trunk")
        fast_import(remote, "trunk", {"README.md": "# Sample\n"})
        _fill(remote, epics)
        url = stack.enter_context(_served(way, remote, folder))
        projects = [_mirror(folder / f"place{number}", url) for number in range(places)]
        if removed:
            _remove(folder / "place0", url, epics)
            # As before each run.
            projects = [_mirror(folder / f"place{number}", url) for number in range(places)]
        base = git(remote, "rev-parse", "trunk")
        for number, project in enumerate(projects):
            epic = _epic(number)
            claims.keep(project, epic, claims.take(project, epic, 1, ""))
        took: list[float] = []
        threads = [
            threading.Thread(target=_accept, args=(project, _epic(number), base, took))
            for number, project in enumerate(projects)
        ]
        before, began = _processor(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall, processor = time.perf_counter() - began, _processor() - before
        return statistics.median(took), len(took) / wall, processor / len(took)


def _accept(project: Project, epic: EpicName, head: str, took: list[float]) -> None:
    for number in range(PUSHES):
        tree = project.git.text("rev-parse", f"{head}^{{tree}}")
        head = project.git.text("commit-tree", "-p", head, tree, stdin=f"{number}".encode())
        began = time.perf_counter()
        claims.accept(project, epic, 1, head)
        took.append(time.perf_counter() - began)


def _remove(folder: Path, url: str, epics: int) -> None:
    """Removes the refs of the earlier runs, as the leader has it done some time after each of them."""
    runs = [RunName(f"old{number}") for number in range(-(-epics // EPICS_OF_A_RUN))]
    Mirrors(PrivateFolders(folder, WaitingProcesses()), RepositoryLocks()).remove_old_refs(url, runs)


def _epic(number: int) -> EpicName:
    return EpicName("now", f"e{number}")


def _processor() -> float:
    """Returns the processor time of this process and of the git processes that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _fill(remote: Path, epics: int) -> None:
    """Adds the refs that epics of earlier runs have left: branch, accepted commit and claim."""
    base = git(remote, "rev-parse", "trunk")
    names = (f"old{number // EPICS_OF_A_RUN}/e{number % EPICS_OF_A_RUN}" for number in range(epics))
    found = {"refs/heads/trunk"} | {
        ref
        for run, _, epic in (name.partition("/") for name in names)
        for ref in (
            f"refs/heads/heddle/{run}/epics/{epic}",
            f"refs/heddle/accepted/{run}/{epic}",
            f"refs/heddle/claim/{run}/{epic}",
        )
    }
    # Tens of thousands of files would take longer than the measurement.
    lines = ["# pack-refs with: peeled fully-peeled sorted ", *(f"{base} {ref}" for ref in sorted(found)), ""]
    (remote / "packed-refs").write_text("\n".join(lines))


def _mirror(folder: Path, url: str) -> Project:
    folders = PrivateFolders(folder, WaitingProcesses())
    Mirrors(folders, RepositoryLocks()).update(url, "")
    return repository.find(folders, url)


@contextmanager
def _served(way: str, remote: Path, folder: Path) -> Iterator[str]:
    if way == "a path":
        with mock.patch.dict("os.environ", {"GIT_CONFIG_GLOBAL": "/dev/null"}):
            yield f"file://{remote}"
        return
    tls = certificates.make(folder / "certificates")
    with smart_http.serving(remote.parent, tls) as served:
        said = f"echo username={smart_http.USER}; echo password={smart_http.PASSWORD}"
        settings = folder / "gitconfig"
        settings.write_text(f'[credential]\n\thelper = "!f() {{ {said}; }}; f"\n')
        trusted = {"GIT_CONFIG_GLOBAL": str(settings), "GIT_SSL_CAINFO": str(tls.authority)}
        with mock.patch.dict("os.environ", trusted):
            yield f"{served}/app.git"
