"""Reads, and never writes, the settings and login of the user's codex in CODEX_HOME."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HOME: Final = "CODEX_HOME"

# Seconds that codex may be without a connection to the model's API.
PATIENCE: Final = "HEDDLE_CODEX_PATIENCE"

API_KEY: Final = "CODEX_API_KEY"

# OpenAI's own keys. A provider in config.toml can name another variable in env_key.
KEYS: Final = (API_KEY, "OPENAI_API_KEY")


class CodexHome:
    """The content of config.toml. A missing or broken file counts as empty: codex itself reports the error."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.path = Path(environ.get(HOME) or Path(environ.get("HOME") or Path.home()) / ".codex")
        try:
            self._config: dict[str, Any] = tomllib.loads((self.path / "config.toml").read_text())
        except (OSError, ValueError):
            self._config = {}

    @property
    def model(self) -> str:
        """The model that codex uses if the plan names none. Empty: codex's own choice."""
        return _text(self._config.get("model"))

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the variables that contain keys for a model's API."""
        named = [_text(provider.get("env_key")) for provider in self._providers()]
        return tuple(dict.fromkeys((*KEYS, *filter(None, named))))

    @property
    def ready(self) -> bool:
        """True if there is a login, a key, or a provider that the user configured."""
        if self._config.get("model_provider", "openai") != "openai":
            return True
        return bool(self._environ.get(API_KEY)) or (self.path / "auth.json").is_file()

    @property
    def trusted(self) -> frozenset[str]:
        """The folders that the user trusts, as written in config.toml."""
        named = self._config.get("projects")
        projects = named.items() if isinstance(named, dict) else ()
        return frozenset(
            path for path, each in projects if isinstance(each, dict) and each.get("trust_level") == "trusted"
        )

    @property
    def sandbox(self) -> dict[str, object]:
        """The user's own values of what codex's sandbox permits in addition to the worktree."""
        named = self._config.get("sandbox_workspace_write")
        own = named if isinstance(named, dict) else {}
        return {
            "network_access": own.get("network_access") is True,
            "writable_roots": _texts(own.get("writable_roots")),
        }

    def _providers(self) -> list[dict[str, Any]]:
        providers = self._config.get("model_providers")
        found = providers.values() if isinstance(providers, dict) else ()
        return [provider for provider in found if isinstance(provider, dict)]


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
