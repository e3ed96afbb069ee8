"""The checkers of a soak find violations."""

import os
import subprocess
import sys
from pathlib import Path

from heddle import pb
from heddle.names import RunName
from tests.chaos import evidence
from tests.chaos.audit import Audit
from tests.chaos.soak import _AGENT
from tests.support.repositories import git, make_repository

RUN = RunName("r")


def start_agent(folder: Path, epic: str, limit: int) -> subprocess.Popen[bytes]:
    parts = {"RUN": RUN.run, "EPIC": epic, "TASK": "t", "ATTEMPT": "1"}
    environment = os.environ | {f"HEDDLE_{key}": value for key, value in parts.items()}
    # With this seed it leaves no child process, which nothing here would end.
    command = [sys.executable, str(_AGENT), str(folder), str(limit), "4"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


def held_by_another(folder: Path, *keys: str) -> subprocess.Popen[bytes]:
    """Starts a process that holds locks of run r; returns once it does."""
    lock = "import fcntl,sys,time\nfiles=[open(f'r.{k}','w') for k in sys.argv[1:]]\n"
    lock += "[fcntl.flock(f,fcntl.LOCK_EX) for f in files]\nprint('held',flush=True)\ntime.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", lock, *keys], cwd=folder, stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    return holder


def test_agents_that_are_not_alone_say_so(tmp_path: Path) -> None:
    """A second agent of an epic, an agent above the limit and a remaining process are found."""
    with held_by_another(tmp_path, "e", "slot0") as holder:
        try:
            assert evidence.agents_of(tmp_path, RUN)
            assert len(evidence.processes_below(tmp_path)) == 1
            start_agent(tmp_path, "e", limit=1).wait()
        finally:
            holder.kill()
    said = evidence.journal_says(tmp_path)
    assert said == ["the agent says: overlap r/e/t/1", "the agent says: limit r/e/t/1"]


def test_leftovers_are_found(tmp_path: Path) -> None:
    """Worktrees, locks and temporary files are named."""
    repository = make_repository(tmp_path / "repository")
    (home := tmp_path / "home").mkdir()
    (scratch := tmp_path / "scratch").mkdir()
    assert evidence.files_left(home, repository, scratch) == []
    git(repository, "worktree", "add", "-b", "left", str(home / "left"))
    (repository / ".git" / "index.lock").touch()
    (scratch / "folder").mkdir()
    assert len(evidence.files_left(home, repository, scratch)) == 3


def test_a_gap_in_a_log_is_found() -> None:
    """Gaps in the sequence of events are named."""
    audit = Audit("runs/r", {})
    audit.take(pb.Event(sequence=1))
    audit.take(pb.Event(sequence=3))
    assert audit.violations == ["runs/r: event 3 follows event 1"]
