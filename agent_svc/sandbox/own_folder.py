"""The folders below the user's home in which an agent stores its own files, and what a session gets of them.

A session never writes there. In a sandbox it has a private folder in the same place, which is removed afterwards: it sees
the settings that the user made read-only, and gets a copy of the login and of what a resumed session needs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Longer files are not credentials.
MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Credential:
    """A JSON file with a login, of which each session gets a copy. The copy is never brought back."""

    name: str
    # The values that renew the login, by their keys from the outside in. The copy has none of them: whoever
    # renews gets new ones and invalidates the old, and only the user's own file may be renewed.
    renewing: tuple[tuple[str, ...], ...] = ()
    # Returns when the login expires, in seconds since 1970; None if unknown.
    expires: Callable[[Mapping[str, Any]], float | None] = lambda _: None
    # Returns the command that renews an expiring login in the user's own file. It runs outside of the sandbox, in
    # an empty folder. Empty: nothing renews it.
    renew: Callable[[], tuple[str, ...]] = tuple
    # The variables with another login, which the agent uses instead.
    unless: tuple[str, ...] = ()

    def read(self, folder: Path) -> dict[str, Any] | None:
        """Returns the content of the file in the user's `folder`; None if it is missing or invalid."""
        try:
            with (folder / self.name).open("rb") as file:
                content = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def for_session(self, content: dict[str, Any]) -> bytes:
        """Returns the content of a session's copy."""
        for keys in self.renewing:
            *outer, last = keys
            part: Any = content
            for key in outer:
                part = part.get(key) if isinstance(part, dict) else None
            if isinstance(part, dict) and last in part:
                part[last] = ""
        return json.dumps(content).encode()


def no_records(session_id: str, worktree: Path) -> tuple[str, ...]:  # noqa: ARG001 (the interface of `records`)
    """Names no files."""
    return ()


@dataclass(frozen=True)
class OwnFolder:
    """A folder in which an agent stores its own files. Names that end with / are folders."""

    # Path relative to the user's home.
    default: str
    # The environment variable that overrides the folder. Empty: there is none.
    variable: str = ""
    # The user's files and folders that a session sees, read-only. Names may be globs.
    shown: tuple[str, ...] = ()
    credentials: tuple[Credential, ...] = ()
    # Returns the globs of the files that belong to a session, by its own id and its worktree. They are copied
    # from the user's folder to resume it, and back when it ends: people can then open it.
    records: Callable[[str, Path], tuple[str, ...]] = no_records
    # Names of files and folders that are stored with the attempt, for the attempt that resumes its session.
    kept: tuple[str, ...] = ()

    def path(self, environment: Mapping[str, str]) -> Path | None:
        """Returns the folder for an agent with this environment, or None if HOME is not set."""
        if self.variable and (named := environment.get(self.variable)):
            return Path(named)
        home = environment.get("HOME")
        return Path(home, self.default) if home else None
