"""The folders of sessions: HEDDLE_HOME/spool/RUN/EPIC/TASK/N, and the files in each.

spec.pb      the StartSessionRequest that made it
events.log   what happened: event_log.py
result.pb    the finished Session; absent while it runs
said.pb      in place of a log that was released: what the operator said
artifacts/   screenshots by content hash
agent        how the agent calls its own session; absent if it said nothing
lock         locked while any process of the session lives
reserve      room for the last words on a full disk
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.config import ConfigError
from heddle.durable import sync_folder
from heddle.failpoints import failpoint
from heddle.names import AttemptName, TaskName

# Enough for session_finished and what the file system adds to it.
RESERVE_BYTES: Final = 64 << 10

# A log that is smaller stays in the spool for as long as its session.
RELEASED_BYTES: Final = 1 << 20

# What st_blocks counts.
_BLOCK: Final = 512

HASH_PREFIX: Final = "sha256:"


class SessionFolder:
    """What one session keeps on disk."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path = path
        # The session's private TMPDIR.
        self.scratch = scratch
        self.log = path / "events.log"

    def create(self, spec: pb.StartSessionRequest) -> None:
        """Writes the session to disk; raises OSError, and leaves no files, if there is no room."""
        try:
            # A crash may have left a folder without a spec.
            (self.path / "artifacts").mkdir(parents=True, exist_ok=True)
            self.log.touch()
            # Each may be new, the run's too: its name is in the spool's own folder.
            for folder in list(self.path.parents)[:4]:
                sync_folder(folder)
            with (self.path / "reserve").open("wb") as file:
                file.write(bytes(RESERVE_BYTES))
                failpoint("reserve.before_sync")
                os.fsync(file.fileno())
                failpoint("reserve.after_sync")
            # The spec comes last: with it the session exists.
            write_durably(self.path / "spec.pb", spec.SerializeToString(), "spec")
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def spec(self) -> pb.StartSessionRequest:
        return pb.StartSessionRequest.FromString((self.path / "spec.pb").read_bytes())

    def result(self) -> pb.Session | None:
        """Returns the finished session; None while it runs."""
        try:
            return pb.Session.FromString((self.path / "result.pb").read_bytes())
        except FileNotFoundError:
            return None

    def finish(self, session: pb.Session) -> None:
        """Marks the session as finished, as the log already says. Idempotent."""
        (self.path / "reserve").unlink(missing_ok=True)
        (self.path / "lock").unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        # It comes last: a session without it is finished again after a crash.
        write_durably(self.path / "result.pb", session.SerializeToString(), "result")

    def remember_agent_session(self, agent_session_id: str) -> None:
        """Keeps how the agent calls its own session, for `agent_session`."""
        write_durably(self.path / "agent", agent_session_id.encode(), "agent")

    def agent_session(self) -> str:
        """Returns how the agent called its own session; empty if it said nothing, or is not known."""
        try:
            return (self.path / "agent").read_text()
        except FileNotFoundError:
            return ""

    def release(self, said: Iterable[str]) -> int:
        """Removes the log of a finished session, but for what the operator `said`; returns the bytes.

        Leaves a log alone that takes little room, or was removed before.
        """
        try:
            size = self.log.stat().st_size
        except FileNotFoundError:
            return 0
        if size < RELEASED_BYTES:
            return 0
        told = pb.WatchSessionResponse(events=[pb.Event(message=pb.Message(text=text)) for text in said])
        write_durably(self.path / "said.pb", told.SerializeToString(), "said")
        self.log.unlink()
        return size

    def released(self) -> list[str] | None:
        """Returns what the operator said to a session whose log was released; None if it was not."""
        try:
            told = pb.WatchSessionResponse.FromString((self.path / "said.pb").read_bytes())
        except FileNotFoundError:
            return None
        return [event.message.text for event in told.events]

    def free_reserve(self) -> None:
        """Gives the disk room for the last words."""
        (self.path / "reserve").unlink(missing_ok=True)

    def take_lock(self) -> int | None:
        """Returns the locked file; None while a process of the session lives."""
        return lock(self.path / "lock")

    def store(self, data: bytes) -> str:
        """Keeps `data` and returns its artifact name. Stored twice is kept once."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path / "artifacts" / digest
        if not path.exists():
            write_durably(path, data, "artifact")
        return f"{HASH_PREFIX}{digest}"

    def artifact(self, name: str) -> Path | None:
        """Returns the file of an artifact; None if this session has no artifact of that name."""
        digest = name.removeprefix(HASH_PREFIX)
        if not (name.startswith(HASH_PREFIX) and len(digest) == 64 and digest.isalnum()):
            return None
        path = self.path / "artifacts" / digest
        return path if path.is_file() else None


class Spool:
    """All sessions that this worker has ever run. One process at a time may have it.

    Raises ConfigError where another one does.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._owner = lock(home / "agent.lock")
        if self._owner is None:
            raise ConfigError(
                f"{home} belongs to another agent_svc that runs: stop that one, or set HEDDLE_HOME"
            )
        self._root = home / "spool"
        self._scratch = home / "tmp"
        self._root.mkdir(parents=True, exist_ok=True)
        self._scratch.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        return self._root

    def folder(self, name: AttemptName) -> SessionFolder:
        path = self._root / name.run / name.epic / name.task / str(name.number)
        return SessionFolder(path, self.scratch(str(name)))

    def scratch(self, name: str) -> Path:
        """Returns the private TMPDIR of whatever is called `name`: short, since sockets in it have short names."""
        return self._scratch / hashlib.sha256(name.encode()).hexdigest()[:12]

    def names(self) -> list[AttemptName]:
        """Returns every session, by name."""
        found = []
        for path in self._root.glob("*/*/*/*/spec.pb"):
            run, epic, task, number = path.parent.relative_to(self._root).parts
            found.append(AttemptName(run, epic, task, int(number)))
        return sorted(found)

    def disk_use(self, names: Iterable[AttemptName]) -> int:
        """Returns the bytes that sessions take on the disk."""
        found = (path for name in names for path in self.folder(name).path.rglob("*"))
        return sum(path.lstat().st_blocks * _BLOCK for path in found)

    def remove(self, names: Iterable[AttemptName]) -> None:
        """Removes sessions, and the folders above them that are empty then. Idempotent."""
        for name in names:
            path = self.folder(name).path
            if path.exists():
                shutil.rmtree(path)
            with suppress(OSError):  # not there, or others are still in it
                for folder in list(path.parents)[:3]:
                    folder.rmdir()

    def close(self) -> None:
        """Lets another process have the spool. Idempotent."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def newest(self, task: TaskName) -> int:
        """Returns the highest attempt of `task` in the spool; 0 if it has no attempt."""
        path = self._root / task.run / task.epic / task.task
        return max((int(spec.parent.name) for spec in path.glob("*/spec.pb")), default=0)


def lock(path: Path) -> int | None:
    """Returns the locked file; None if another process holds the lock."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        return None
    return file


def write_durably(path: Path, data: bytes, what: str) -> None:
    """Replaces `path` so that a crash leaves the old content or the new, never a part.

    `what` names its failpoints.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            failpoint(f"{what}.before_sync")
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    failpoint(f"{what}.after_sync")
