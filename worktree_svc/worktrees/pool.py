"""Worktrees that are prepared before an epic needs one: checking out a large project takes seconds.

HEDDLE_HOME/pool/NAME/        an unused worktree with detached HEAD
HEDDLE_HOME/pool/NAME.index   its git index
HEDDLE_HOME/pool/NAME.json    its project and commit; `ready` once it is complete, and until it is taken

An epic gets one by two renames, and only files that differ are checked out. One that was
being made or taken when the service was killed is removed by the next service.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from heddle.errors import HeddleError
from worktree_svc.content import checkouts
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.projects import repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.repository import Project
from worktree_svc.storage import disk, files
from worktree_svc.storage.worktree_states import Place

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The number of files from which on a checkout takes long enough to prepare it.
FEWEST_FILES: Final = 1_000

# The pool leaves this many bytes above the low-water mark free.
RESERVE_BYTES: Final = 5 << 30


@dataclass(frozen=True)
class Member:
    """A prepared worktree of the repository at `top`, with the files of `commit` as `settings` check them out."""

    path: Path
    top: Path
    commit: str
    ready: bool
    # A hash of the settings for filters and line ends, which change the files.
    settings: str

    @property
    def state(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def index(self) -> Path:
        return self.path.with_name(f"{self.path.name}.index")

    def save(self) -> None:
        fields = {
            "top": str(self.top),
            "commit": self.commit,
            "ready": self.ready,
            "settings": self.settings,
        }
        files.write_atomically(self.state, json.dumps(fields))


class Pool:
    """The prepared worktrees below one folder, at most `size` per project; no worktrees if that is 0.

    Safe to use from threads. It prepares worktrees in the background, but not
    while an epic's worktree is being made.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        folders: PrivateFolders,
        repositories: RepositoryLocks,
        has_room: disk.HasRoom,
    ) -> None:
        self._folder = folder.resolve()
        self._size = size
        self._folders = folders
        self._repositories = repositories
        self._has_room = has_room
        self._changed = threading.Condition()
        self._members: dict[Path, Member] = {}
        self._wanted: dict[Path, str] = {}
        self._makers = 0
        self._closed = False
        self._filler = ThreadPoolExecutor(1, thread_name_prefix="pool")

    def recover(self) -> None:
        """Finds what the previous service left: keeps complete and wanted worktrees, removes the rest."""
        for path in sorted(self._folder.glob("*.json")):
            member = _load(path)
            if member and member.ready and self._size and self._is_whole(member):
                self._members[member.path] = member
            elif member:
                self._remove(member)
        kept = {
            path for member in self._members.values() for path in (member.path, member.index, member.state)
        }
        for path in set(self._folder.glob("*")) - kept:
            files.remove(path)

    @contextmanager
    def making(self) -> Iterator[int]:
        """Keeps the pool from preparing worktrees while an epic's is made; yields how many are being made now."""
        with self._changed:
            self._makers += 1
            makers = self._makers
        try:
            yield makers
        finally:
            with self._changed:
                self._makers -= 1
                self._changed.notify_all()

    def take(self, project: Project, place: Place, head: str) -> str | None:
        """Makes a prepared worktree the epic's; returns the commit of its files, None if there is none."""
        settings = _settings(project)
        with self._changed:
            mine = [member for member in self._members.values() if member.top == project.top]
            stale = [member for member in mine if member.settings != settings]
            fresh = [member for member in mine if member.settings == settings]
            taken = min(fresh, key=lambda member: member.commit != head, default=None)
            for each in (*stale, *([taken] if taken else [])):
                del self._members[each.path]
        for each in stale:
            self._remove(each)
        return self._give(project, place, taken) if taken else None

    def _give(self, project: Project, place: Place, member: Member) -> str | None:
        """Moves a prepared worktree, already removed from the list, to the epic's path; returns its commit, None if it is lost."""
        replace(member, ready=False).save()
        folder = checkouts.find_at(project, member.path)
        try:
            if folder is None:
                return None
            with self._repositories.hold(project.common):
                checkouts.forget(project, place)
            files.remove(place.path)
            place.path.parent.mkdir(parents=True, exist_ok=True)
            member.index.replace(place.index)
            files.write_atomically(folder / "gitdir", f"{place.path / '.git'}\n")
            member.path.rename(place.path)
        except OSError as error:
            log.warning("prepared_worktree_lost", path=str(member.path), error=str(error))
            return None
        finally:
            self._remove(member)
        return member.commit

    def fill(self, project: Project, commit: str, index: Path) -> None:
        """Starts preparing worktrees of `commit` if the project is large; `index` is the index of one of its worktrees."""
        if self._size and _entries(index) >= FEWEST_FILES:
            with self._changed:
                self._wanted[project.top] = commit
            with suppress(RuntimeError):  # the pool was closed meanwhile
                self._filler.submit(self._fill, project.top)

    def empty(self) -> bool:
        """Removes all prepared worktrees, because work needs the disk; returns whether there were any."""
        with self._changed:
            members = list(self._members.values())
            self._members.clear()
        for member in members:
            self._remove(member)
        return bool(members)

    def close(self) -> None:
        """Stops preparing worktrees; the prepared ones stay."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._filler.shutdown(cancel_futures=True)

    def _fill(self, top: Path) -> None:
        try:
            while self._lacks(top):
                self._prepare(repository.find(self._folders, str(top)), self._wanted[top])
        except (HeddleError, OSError) as error:
            log.warning("pool_not_filled", project=str(top), error=str(error))

    def _lacks(self, top: Path) -> bool:
        """Waits until no epic's worktree is being made; returns whether another one should be prepared."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._makers)
            count = sum(member.top == top for member in self._members.values())
        self._folder.mkdir(parents=True, exist_ok=True)
        return not self._closed and count < self._size and self._has_room(self._folder, RESERVE_BYTES)

    def _prepare(self, project: Project, commit: str) -> None:
        path = self._folder / f"pool-{secrets.token_hex(4)}"
        member = Member(path, project.top, commit, ready=False, settings=_settings(project))
        member.save()
        try:
            with self._repositories.hold(project.common):
                checkouts.add(project, member.path, commit)
            git = project.git.at(member.path, index=member.index)
            git.text("read-tree", "--reset", "-u", commit)
        except BaseException:
            self._remove(member)
            raise
        ready = replace(member, ready=True)
        # Under one lock: taking a worktree writes the same file.
        with self._changed:
            ready.save()
            self._members[ready.path] = ready
        log.info("worktree_prepared", project=str(project.top), path=str(member.path), commit=commit)

    def _is_whole(self, member: Member) -> bool:
        if not (member.path.is_dir() and member.index.is_file()):
            return False
        try:
            project = repository.find(self._folders, str(member.top))
        except HeddleError:
            return False
        return checkouts.find_at(project, member.path) is not None

    def _remove(self, member: Member) -> None:
        """Removes what is left of a prepared worktree; its state last, because that says where it is."""
        with suppress(HeddleError):  # the project is gone, and with it the registration
            project = repository.find(self._folders, str(member.top))
            with self._repositories.hold(project.common):
                checkouts.forget_at(project, member.path)
        for path in (member.path, member.index, member.index.with_name(f"{member.index.name}.lock")):
            files.remove(path)
        files.remove(member.state)


def _settings(project: Project) -> str:
    return hashlib.sha256((project.private / "config").read_bytes()).hexdigest()


def _load(path: Path) -> Member | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        top, settings = Path(fields["top"]), fields.get("settings", "")
        return Member(path.with_suffix(""), top, fields["commit"], ready=fields["ready"], settings=settings)
    except (ValueError, KeyError, TypeError):
        return None


def _entries(index: Path) -> int:
    """Returns the number of files in an index, from its header."""
    try:
        with index.open("rb") as file:
            header = file.read(12)
    except OSError:
        return 0
    return int.from_bytes(header[8:12], "big") if header[:4] == b"DIRC" else 0
