"""What Claude Code keeps below its user's home."""

from typing import Final

from agent_svc.sandbox.own_folder import OwnFolder

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
