"""The folder of Claude Code in its user's home."""

from typing import Final

from agent_svc.sandbox.own_folder import OwnFolder

# Excludes settings, skills, hooks and servers: the programs that they name would run wherever the user works.
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
