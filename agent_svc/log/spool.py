"""The folders of sessions: HEDDLE_HOME/spool/RUN/EPIC/TASK/N, and the files in each.

spec.pb      the StartSessionRequest that made it
events.log   what happened: event_log.py
result.pb    the finished Session; absent while it runs
said.pb      the operator's messages, in place of a log that was released
artifacts/   screenshots by content hash
agent        the agent's own id of its session; absent if it reported none
own/         what its agent has in place of the user's folders; absent without a sandbox and after its end
kept/        what a later attempt needs to resume the agent's session, for agents without records in the user's folder
lock         locked while any process of the session lives
reserve      reserved space for the final event on a full disk
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
from heddle.failpoints import failpoint
from heddle.files.durable import sync_folder
from heddle.names import AttemptName, TaskName

# Enough for session_finished plus the overhead of the file system.
RESERVE_BYTES: Final = 64 << 10

# A smaller log is not released; it stays until its session is deleted.
RELEASED_BYTES: Final = 1 << 20

# The unit of st_blocks, in bytes.
_BLOCK: Final = 512

HASH_PREFIX: Final = "sha256:"


class SessionFolder:
    """The files of one session."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path = path
        # The session's private TMPDIR.
        self.scratch = scratch
        self.log = path / "events.log"
        self.own = path / "own"
        self.kept = path / "kept"

    def create(self, spec: pb.StartSessionRequest) -> None:
        """Writes the session to disk. If there is no room, raises OSError and leaves no files."""
        try:
            # A crash may have left a folder without a spec.
            (self.path / "artifacts").mkdir(parents=True, exist_ok=True)
            self.log.touch()
            # Each of these folders may be new. The run's folder is an entry of the spool folder itself.
            for folder in list(self.path.parents)[:4]:
                sync_folder(folder)
            with (self.path / "reserve").open("wb") as file:
                file.write(bytes(RESERVE_BYTES))
                failpoint("reserve.before_sync")
                os.fsync(file.fileno())
                failpoint("reserve.after_sync")
            # The spec must be written last: the session exists once its spec does.
            write_durably(self.path / "spec.pb", spec.SerializeToString(), "spec")
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def spec(self) -> pb.StartSessionRequest:
        return pb.StartSessionRequest.FromString((self.path / "spec.pb").read_bytes())

    def result(self) -> pb.Session | None:
        """Returns the finished session, or None while it runs."""
        try:
            return pb.Session.FromString((self.path / "result.pb").read_bytes())
        except FileNotFoundError:
            return None

    def finish(self, session: pb.Session) -> None:
        """Marks the session as finished; the log must already contain its end. Idempotent."""
        (self.path / "reserve").unlink(missing_ok=True)
        (self.path / "lock").unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(self.own, ignore_errors=True)
        # The result must be written last: without it, the session is finished again after a crash.
        write_durably(self.path / "result.pb", session.SerializeToString(), "result")

    def remember_agent_session(self, agent_session_id: str) -> None:
        """Stores the agent's own id of its session, for `agent_session`."""
        write_durably(self.path / "agent", agent_session_id.encode(), "agent")

    def agent_session(self) -> str:
        """Returns the agent's own id of its session, or "" if it reported none or the session is unknown."""
        try:
            return (self.path / "agent").read_text()
        except FileNotFoundError:
            return ""

    def release(self, said: Iterable[str]) -> int:
        """Removes a finished session's log but keeps the operator's messages, `said`. Returns the freed bytes.

        Does nothing and returns 0 if the log is smaller than RELEASED_BYTES or already removed.
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
        """Returns the operator's messages if the session's log was released, otherwise None."""
        try:
            told = pb.WatchSessionResponse.FromString((self.path / "said.pb").read_bytes())
        except FileNotFoundError:
            return None
        return [event.message.text for event in told.events]

    def free_reserve(self) -> None:
        """Frees the reserved space, so that the final event can be written."""
        (self.path / "reserve").unlink(missing_ok=True)

    def take_lock(self) -> int | None:
        """Returns the descriptor of the locked file, or None while a process of the session is alive."""
        return lock(self.path / "lock")

    def store(self, data: bytes) -> str:
        """Stores `data` and returns its artifact name. The same data is stored only once."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path / "artifacts" / digest
        if not path.exists():
            write_durably(path, data, "artifact")
        return f"{HASH_PREFIX}{digest}"

    def artifact(self, name: str) -> Path | None:
        """Returns the path of an artifact, or None if this session has no artifact with that name."""
        digest = name.removeprefix(HASH_PREFIX)
        if not (name.startswith(HASH_PREFIX) and len(digest) == 64 and digest.isalnum()):
            return None
        path = self.path / "artifacts" / digest
        return path if path.is_file() else None


class Spool:
    """All sessions that this worker has run and not deleted. Only one process may open the spool at a time.

    Raises ConfigError if another process has opened it.
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
        """Returns the private TMPDIR for `name`. The path is short because the paths of sockets are limited."""
        return self._scratch / hashlib.sha256(name.encode()).hexdigest()[:12]

    def names(self) -> list[AttemptName]:
        """Returns the names of all sessions, sorted."""
        found = []
        for path in self._root.glob("*/*/*/*/spec.pb"):
            run, epic, task, number = path.parent.relative_to(self._root).parts
            found.append(AttemptName(run, epic, task, int(number)))
        return sorted(found)

    def disk_use(self, names: Iterable[AttemptName]) -> int:
        """Returns the disk space that sessions use, in bytes, without what is removed in the meantime."""
        size = 0
        for name in names:
            for path in self.folder(name).path.rglob("*"):
                with suppress(FileNotFoundError):
                    size += path.lstat().st_blocks * _BLOCK
        return size

    def remove(self, names: Iterable[AttemptName]) -> None:
        """Removes sessions and the parent folders that become empty. Idempotent."""
        for name in names:
            path = self.folder(name).path
            if path.exists():
                shutil.rmtree(path)
            with suppress(OSError):  # the folder does not exist or is not empty
                for folder in list(path.parents)[:3]:
                    folder.rmdir()

    def close(self) -> None:
        """Releases the spool, so that another process can open it. Idempotent."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def newest(self, task: TaskName) -> int:
        """Returns the highest attempt number of `task` in the spool, or 0 if it has no attempt."""
        path = self._root / task.run / task.epic / task.task
        return max((int(spec.parent.name) for spec in path.glob("*/spec.pb")), default=0)


def lock(path: Path) -> int | None:
    """Returns the descriptor of the locked file, or None if another process holds the lock."""
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
    """Replaces `path` atomically: after a crash it has either the old or the new content.

    `what` is the prefix of its failpoints.
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
