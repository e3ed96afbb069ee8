"""The folders below the user's home in which an agent stores its own files. A sandbox makes them writable."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OwnFolder:
    """A folder in which an agent stores its own files. Names in it that end with / are folders."""

    # Path relative to the user's home.
    default: str
    # The environment variable that overrides the folder. Empty: there is none.
    variable: str = ""
    # The writable names in the folder. Empty: all.
    parts: tuple[str, ...] = ()
    # Names that stay read-only: they configure programs that the agent would run for its user elsewhere.
    kept: tuple[str, ...] = ()

    def path(self, environment: Mapping[str, str]) -> Path | None:
        """Returns the folder for an agent with this environment, or None if HOME is not set."""
        if self.variable and (named := environment.get(self.variable)):
            return Path(named)
        home = environment.get("HOME")
        return Path(home, self.default) if home else None
