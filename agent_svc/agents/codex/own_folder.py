"""The folder of codex in its user's home."""

from typing import Final

from agent_svc.sandbox.own_folder import OwnFolder

# codex writes databases next to its settings. It must not change the settings: the programs that they name
# would run wherever the user works.
CODEX_FOLDER: Final = OwnFolder(
    ".codex",
    variable="CODEX_HOME",
    kept=("AGENTS.md", "config.toml", "hooks.json", "plugins/", "prompts/", "rules/", "skills/"),
)
