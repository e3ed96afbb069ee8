"""What Codex keeps below its user's home."""

from typing import Final

from agent_svc.sandbox.own_folder import OwnFolder

# It writes databases next to its settings; the settings name programs that would run wherever its user works.
CODEX_FOLDER: Final = OwnFolder(
    ".codex",
    variable="CODEX_HOME",
    kept=("AGENTS.md", "config.toml", "hooks.json", "plugins/", "prompts/", "rules/", "skills/"),
)
