"""What an agent keeps for itself below its user's home, which a sandbox must let it write."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OwnFolder:
    """A folder of an agent's own. Names in it that end with / are folders."""

    # Below the user's home.
    default: str
    # The variable that names another folder. Empty: there is none.
    variable: str = ""
    # What it writes in there. Empty: anything.
    parts: tuple[str, ...] = ()
    # What it must not write, as that names programs which the agent would run for its user elsewhere.
    kept: tuple[str, ...] = ()

    def path(self, environment: Mapping[str, str]) -> Path | None:
        """Returns where it is for an agent with this environment; None if that names no home."""
        if self.variable and (named := environment.get(self.variable)):
            return Path(named)
        home = environment.get("HOME")
        return Path(home, self.default) if home else None
