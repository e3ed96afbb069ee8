"""Prepares worktrees before an epic needs one, because the checkout of a large project takes seconds.

HEDDLE_HOME/pool/NAME/        an unused worktree with detached HEAD
HEDDLE_HOME/pool/NAME.index   its git index
HEDDLE_HOME/pool/NAME.json    its project and commit; `ready` once it is complete, and until it is taken

Two renames give a prepared worktree to an epic, and only files that differ are checked out.
If the service is killed while it prepares or gives away a worktree, the next service
removes that worktree.
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
from worktree_svc.storage.worktree_store import WorktreePaths

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The fewest files for which a checkout takes long enough to be prepared.
FEWEST_FILES: Final = 1_000

# The pool leaves this many bytes above the low-water mark free.
RESERVE_BYTES: Final = 5 << 30


@dataclass(frozen=True)
class PreparedWorktree:
    """A prepared worktree of the repository at `top`, with the files of `commit` as `settings` check them out."""

    path: Path
    top: Path
    commit: str
    ready: bool
    # A hash of the settings for filters and line endings, which change the files.
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


class WorktreePool:
    """The prepared worktrees below one folder, at most `size` per project; 0 turns the pool off.

    Safe to use from threads. Prepares worktrees in the background, but not while an
    epic's worktree is being created.
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
        self._prepared: dict[Path, PreparedWorktree] = {}
        self._wanted: dict[Path, str] = {}
        self._makers = 0
        self._closed = False
        self._filler = ThreadPoolExecutor(1, thread_name_prefix="pool")

    def recover(self) -> None:
        """Finds the previous service's worktrees.

        Keeps complete ones that are still needed, and removes the rest.
        """
        for path in sorted(self._folder.glob("*.json")):
            worktree = _load(path)
            if worktree and worktree.ready and self._size and self._is_complete(worktree):
                self._prepared[worktree.path] = worktree
            elif worktree:
                self._remove(worktree)
        kept = {
            path
            for worktree in self._prepared.values()
            for path in (worktree.path, worktree.index, worktree.state)
        }
        for path in set(self._folder.glob("*")) - kept:
            files.remove(path)

    @contextmanager
    def making(self) -> Iterator[int]:
        """Pauses the pool while an epic's worktree is created; yields how many are being created now."""
        with self._changed:
            self._makers += 1
            makers = self._makers
        try:
            yield makers
        finally:
            with self._changed:
                self._makers -= 1
                self._changed.notify_all()

    def take(self, project: Project, paths: WorktreePaths, head: str) -> str | None:
        """Gives a prepared worktree to the epic.

        Returns the commit of its files, or None if no worktree is available.
        """
        settings = _settings(project)
        with self._changed:
            mine = [worktree for worktree in self._prepared.values() if worktree.top == project.top]
            stale = [worktree for worktree in mine if worktree.settings != settings]
            fresh = [worktree for worktree in mine if worktree.settings == settings]
            taken = min(fresh, key=lambda worktree: worktree.commit != head, default=None)
            for each in (*stale, *([taken] if taken else [])):
                del self._prepared[each.path]
        for each in stale:
            self._remove(each)
        return self._give(project, paths, taken) if taken else None

    def _give(self, project: Project, paths: WorktreePaths, worktree: PreparedWorktree) -> str | None:
        """Moves a worktree, already off the list, to the epic's path.

        Returns its commit, or None if it is lost.
        """
        replace(worktree, ready=False).save()
        folder = checkouts.find_at(project, worktree.path)
        try:
            if folder is None:
                return None
            with self._repositories.hold(project.common):
                checkouts.unregister(project, paths)
            files.remove(paths.worktree)
            paths.worktree.parent.mkdir(parents=True, exist_ok=True)
            worktree.index.replace(paths.index)
            files.write_atomically(folder / "gitdir", f"{paths.worktree / '.git'}\n")
            worktree.path.rename(paths.worktree)
        except OSError as error:
            log.warning("prepared_worktree_lost", path=str(worktree.path), error=str(error))
            return None
        finally:
            self._remove(worktree)
        return worktree.commit

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
            worktrees = list(self._prepared.values())
            self._prepared.clear()
        for worktree in worktrees:
            self._remove(worktree)
        return bool(worktrees)

    def close(self) -> None:
        """Stops preparing worktrees, but keeps the prepared ones."""
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
        """Waits until no epic's worktree is being created; returns whether to prepare another worktree."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._makers)
            count = sum(worktree.top == top for worktree in self._prepared.values())
        self._folder.mkdir(parents=True, exist_ok=True)
        return not self._closed and count < self._size and self._has_room(self._folder, RESERVE_BYTES)

    def _prepare(self, project: Project, commit: str) -> None:
        path = self._folder / f"pool-{secrets.token_hex(4)}"
        worktree = PreparedWorktree(path, project.top, commit, ready=False, settings=_settings(project))
        worktree.save()
        try:
            with self._repositories.hold(project.common):
                checkouts.add(project, worktree.path, commit)
            git = project.git.at(worktree.path, index=worktree.index)
            git.text("read-tree", "--reset", "-u", commit)
        except BaseException:
            self._remove(worktree)
            raise
        ready = replace(worktree, ready=True)
        # The lock is needed because taking a worktree writes the same file.
        with self._changed:
            ready.save()
            self._prepared[ready.path] = ready
        log.info("worktree_prepared", project=str(project.top), path=str(worktree.path), commit=commit)

    def _is_complete(self, worktree: PreparedWorktree) -> bool:
        if not (worktree.path.is_dir() and worktree.index.is_file()):
            return False
        try:
            project = repository.find(self._folders, str(worktree.top))
        except HeddleError:
            return False
        return checkouts.find_at(project, worktree.path) is not None

    def _remove(self, worktree: PreparedWorktree) -> None:
        """Removes a prepared worktree, complete or not.

        Removes its state last, because that contains its location.
        """
        with suppress(HeddleError):  # the project is gone, and with it the registration
            project = repository.find(self._folders, str(worktree.top))
            with self._repositories.hold(project.common):
                checkouts.unregister_at(project, worktree.path)
        for path in (worktree.path, worktree.index, worktree.index.with_name(f"{worktree.index.name}.lock")):
            files.remove(path)
        files.remove(worktree.state)


def _settings(project: Project) -> str:
    return hashlib.sha256((project.private / "config").read_bytes()).hexdigest()


def _load(path: Path) -> PreparedWorktree | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        top, settings = Path(fields["top"]), fields.get("settings", "")
        return PreparedWorktree(
            path.with_suffix(""), top, fields["commit"], ready=fields["ready"], settings=settings
        )
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
