"""Checks an idle fleet: git, files, processes and the database, each separately."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import sqlalchemy as sa

from agent_svc.log.event_log import EventLog
from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.events import read_events
from scheduler_svc.store.db.tables import attempts, epics, runs, tasks
from tests.chaos.store_watch import StoreWatch
from tests.support.repositories import git

_ALL = 1 << 30


def processes_below(home: Path) -> list[str]:
    """Returns the processes that were started from, or in, `home` and still run."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except psutil.Error:
            continue
        if any(str(home) in word for word in words):
            found.append(f"process {process.pid} is left: {' '.join(words)}")
    return found


def files_left(home: Path, repository: Path, scratch: Path) -> list[str]:
    """Returns the worktrees, locks and temporary files that should be gone."""
    # The services' own lock files in the home folder stay; the locks end with their processes.
    locks = [*_locks_below(repository), *(lock for lock in _locks_below(home) if lock.parent != home)]
    wrong = [f"lock {path} is left" for path in locks]
    wrong += [f"temporary {path} is left" for path in scratch.iterdir()]
    listed = git(repository, "worktree", "list", "--porcelain").split("\n\n")
    return wrong + [f"worktree is left: {each.splitlines()[0]}" for each in listed[1:]]


def _locks_below(folder: Path) -> Iterator[Path]:
    """Yields the lock files below a folder that may still be changing."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.endswith(".lock"))


def agents_of(journal: Path, run: RunName) -> list[str]:
    """Returns the epics of a run whose agent, or a descendant of it, holds its lock."""
    return [
        f"{path.name} is locked after {run} was cancelled"
        for path in journal.glob(f"{run.run}.*")
        if _is_locked(path)
    ]


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def journal_says(journal: Path) -> list[str]:
    """Returns the agents' reports of other agents that ran at the same time."""
    if not (journal / "journal").exists():
        return []
    lines = (journal / "journal").read_text().splitlines()
    return [f"the agent says: {line}" for line in lines if line.partition(" ")[0] in {"overlap", "limit"}]


class Records:
    """The state of all runs in the database."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self.watch = StoreWatch()
        with self._engine.connect() as connection, connection.begin():
            self.watch.look(connection)
            self._runs = connection.execute(sa.select(runs)).all()
            self._attempts = connection.execute(sa.select(attempts)).all()
            self._epics = connection.execute(sa.select(epics)).all()
            self.tasks = connection.execute(sa.select(tasks)).all()
        self._engine.dispose()

    def violations(self, repository: Path, *, remote: bool = False) -> list[str]:
        """Returns what is wrong; `remote`: the repository is a remote, whose branches may have more than was accepted.

        An acceptance may arrive there just before its place is lost, and is then not recorded.
        """
        return [*self.watch.violations, *self._unexplained(), *self._compare_git(repository, remote=remote)]

    def watched(self, run: str, events: list[pb.Event]) -> list[str]:
        """Compares what a watcher received with the log."""
        with self._engine.connect() as connection, connection.begin():
            written = read_events(connection, RunName.parse(run).run, 0, _ALL, _ALL)
        self._engine.dispose()
        if [event.SerializeToString() for event in written[: len(events)]] != [
            event.SerializeToString() for event in events
        ]:
            return [f"a watcher of {run} saw other events than were written"]
        return []

    def accepted(self) -> Iterator[tuple[EpicName, list[str]]]:
        """Yields each epic with the commits of its accepted tasks, in the order of acceptance."""
        for row in self._epics:
            commits = [commit for commit in self.watch.audits[row.run].commits[row.epic] if commit]
            yield RunName(row.run).epic(row.epic), commits

    def count_attempts(self, state: "pb.AttemptState.ValueType") -> int:
        return sum(row.state == state for row in self._attempts)

    def not_in_spool(self, spool: Path) -> Iterator[str]:
        """Yields the sessions for which the scheduler has more events than the worker."""
        for row in self._attempts:
            folder = spool / row.run / row.epic / row.task / str(row.number)
            if (folder / "said.pb").exists():
                # Its log was released once all of it was stored.
                continue
            log = EventLog.view(folder / "events.log")
            if row.session_sequence > log.last_sequence:
                yield (
                    f"{row.run}/{row.epic}/{row.task}/{row.number} was told to {row.session_sequence}"
                    f" and is written to {log.last_sequence}"
                )

    def _unexplained(self) -> Iterator[str]:
        for row in self._runs:
            if row.ended_at is None:
                yield f"{row.run} never ended"
            elif row.state != pb.RUN_STATE_SUCCEEDED and not row.reason:
                yield f"{row.run} is {pb.RunState.Name(row.state)} and does not say why"
        for row in self.tasks:
            # A candidate that passed is not accepted itself.
            if row.state not in {pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_PASSED} and not row.reason:
                yield f"{row.run}/{row.epic}/{row.task} was not accepted and does not say why"

    def _compare_git(self, repository: Path, *, remote: bool) -> Iterator[str]:
        for epic, (name, commits) in zip(self._epics, self.accepted(), strict=True):
            # A draft is accepted without a commit.
            if not commits:
                continue
            made = _tasks_on(repository, name)
            if epic.rewind_to or remote:
                # Its next attempt removes the commits that were set aside.
                made = made[: len(commits)]
            if made != commits:
                yield f"{name} has the commits {made}, accepted were {commits}"
            if epic.state == pb.EPIC_STATE_SUCCEEDED:
                merged = git(repository, "rev-list", name.parent.branch).splitlines()
                if not set(commits) <= set(merged):
                    yield f"{name} succeeded and is not merged"


def _tasks_on(repository: Path, epic: EpicName) -> list[str]:
    """Returns the commits that were made for an epic's tasks, as its branch has them, oldest first."""
    trailers = "%x09".join(
        f"%(trailers:key=Heddle-{key},valueonly,separator=)" for key in ("Run", "Epic", "Task")
    )
    log = git(repository, "log", "--first-parent", "--reverse", f"--format=%H%x09{trailers}", epic.branch)
    rows = [line.split("\t") for line in log.splitlines()]
    return [
        commit
        for commit, run, key, task in rows
        if task and run.endswith(epic.run) and key.endswith(epic.epic)
    ]


def repository_is_sound(repository: Path) -> list[str]:
    """Returns the problems that git fsck finds."""
    done = subprocess.run(
        ["git", "fsck", "--connectivity-only"], cwd=repository, capture_output=True, text=True, check=False
    )
    return [] if done.returncode == 0 else [f"git fsck: {done.stderr.strip()}"]
