"""What an agent keeps for itself below its user's home, which a sandbox must let it write."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


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
        """Returns where it is for an agent with this environment; None where that names no home."""
        if self.variable and (named := environment.get(self.variable)):
            return Path(named)
        home = environment.get("HOME")
        return Path(home, self.default) if home else None


# Not its settings, skills, hooks and servers: what they name would run wherever its user works.
CLAUDE_FOLDER: Final = OwnFolder(
    ".claude",
    variable="CLAUDE_CONFIG_DIR",
    parts=(
        ".credentials.json",
        "debug/",
        "file-history/",
        "projects/",
        "session-env/",
        "sessions/",
        "shell-snapshots/",
        "tasks/",
        "todos/",
    ),
)

GEMINI_FOLDER: Final = OwnFolder(
    ".gemini",
    kept=(
        "GEMINI.md",
        "agents/",
        "commands/",
        "extensions/",
        "policies/",
        "settings.json",
        "skills/",
        "trustedFolders.json",
    ),
)

# The folder of its settings and one file in it must be there; nothing in it is to be written.
OPENCODE_FOLDERS: Final = (
    OwnFolder(".config/opencode", kept=(".gitignore", "./")),
    *(OwnFolder(f"{folder}/opencode") for folder in (".cache", ".local/share", ".local/state")),
)
GOOSE_FOLDERS: Final = tuple(OwnFolder(f"{folder}/goose") for folder in (".local/share", ".local/state"))

# It writes databases beside its settings; those name programs that would run wherever its user works.
CODEX_FOLDER: Final = OwnFolder(
    ".codex",
    variable="CODEX_HOME",
    kept=("AGENTS.md", "config.toml", "hooks.json", "plugins/", "prompts/", "rules/", "skills/"),
)
