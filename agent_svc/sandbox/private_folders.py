"""The private folders of one session, which it sees in place of its agent's own folders."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_svc.sandbox.carried_files import Copier
from agent_svc.sandbox.own_folder import OwnFolder

# An agent's own id of its session becomes part of a file's name, and an agent chooses it.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{3,127}")


@dataclass(frozen=True)
class PrivateFolder:
    """One folder: `private` is what the session sees at `path`."""

    kind: OwnFolder
    # The user's own folder, without links.
    path: Path
    private: Path
    # Where files are stored with the attempt.
    store: Path

    def shown(self) -> list[tuple[Path, Path]]:
        """Returns the user's files and folders that the session sees, each with its place. Both are read-only."""
        found = {each for name in self.kind.shown for each in self.path.glob(name)}
        return [(each, self.path / each.name) for each in sorted(found) if each.exists()]

    def hand_over_logins(self) -> None:
        """Copies the user's current logins; writes nothing if a copy is up to date."""
        for login in self.kind.credentials:
            content = login.read(self.path)
            if content is None:
                continue
            copy = login.for_session(content)
            descriptor = os.open(
                self.private / login.name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
            )
            with os.fdopen(descriptor, "r+b") as file:
                if file.read(len(copy) + 1) != copy:
                    file.seek(0)
                    file.truncate()
                    file.write(copy)


class PrivateFolders:
    """Prepares the folders of a session and brings back what may be kept."""

    def __init__(
        self,
        own: Sequence[OwnFolder],
        environment: Mapping[str, str],
        worktree: Path,
        private: Path,
        store: Path,
    ) -> None:
        """`private` is removed after the session, `store` stays with the attempt; both may not exist yet."""
        self._worktree = worktree
        self._private = private
        self.folders = [
            PrivateFolder(kind, named, private / str(number), store / str(number))
            for number, kind in enumerate(own)
            if (named := _named(kind, environment)) is not None
        ]

    def prepare(self, session_id: str, earlier: Path | None) -> None:
        """Creates the folders, with the files of the session to resume. Does nothing if they exist.

        `session_id` is the agent's own id of the session to resume, or "". `earlier` is the store of the attempt
        that had it.
        """
        for number, folder in enumerate(self.folders):
            if folder.private.exists():
                continue
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.private.mkdir(parents=True, mode=0o700)
            if records := self._records(folder, session_id):
                Copier(records).copy(folder.path, folder.private)
            if folder.kind.kept and earlier is not None:
                Copier(folder.kind.kept).copy(earlier / str(number), folder.private)
            folder.hand_over_logins()

    def bring_back(self, session_id: str, resumed_id: str) -> None:
        """Copies the files of the session to the user's folders and to the store, and removes the private ones.

        Existing files are replaced only if the session resumed `resumed_id`, so that no agent replaces another
        session. Raises OSError or TooMuchError.
        """
        try:
            for folder in self.folders:
                if records := self._records(folder, session_id):
                    Copier(records, replaces=session_id == resumed_id).copy(folder.private, folder.path)
                if folder.kind.kept:
                    Copier(folder.kind.kept).copy(folder.private, folder.store)
        finally:
            shutil.rmtree(self._private, ignore_errors=True)

    def _records(self, folder: PrivateFolder, session_id: str) -> tuple[str, ...]:
        return folder.kind.records(session_id, self._worktree) if _ID.fullmatch(session_id) else ()


def _named(kind: OwnFolder, environment: Mapping[str, str]) -> Path | None:
    named = kind.path(environment)
    return named.resolve() if named is not None and named.is_absolute() else None
