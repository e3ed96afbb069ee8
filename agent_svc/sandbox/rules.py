"""What the operator decided about the sandbox of every session."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

from heddle.config import ConfigError, Settings

Network: TypeAlias = Literal["open", "internet", "none"]


@dataclass(frozen=True)
class Rules:
    """The same for all sessions of a worker. Each kind of sandbox enforces them by its own means."""

    # HEDDLE_HOME. A session sees nothing below it except its own files.
    home: Path
    # Paths that every session may write.
    writable: tuple[Path, ...] = ()
    # Files of the service that no session may read.
    secrets: tuple[Path, ...] = ()
    # Paths that are hidden in addition to `hidden.IN_HOME`, and those that are shown although they are listed.
    hidden: tuple[Path, ...] = ()
    visible: tuple[Path, ...] = ()
    network: Network = "open"
    # Whether every session may create user namespaces.
    user_namespaces: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the rules of `settings`; raises ConfigError if they would show the data of the service."""
        home = settings.home.resolve()
        for path in (*settings.sandbox_writable, *settings.sandbox_visible):
            if home in (path.resolve(), *path.resolve().parents):
                raise ConfigError(
                    f"HEDDLE_SANDBOX_WRITABLE and HEDDLE_SANDBOX_VISIBLE cannot contain {path}: agents never see"
                    " HEDDLE_HOME, which contains the state and the credentials of the services"
                )
        return cls(
            home,
            settings.sandbox_writable,
            (settings.tls.key,) if settings.tls else (),
            settings.sandbox_hidden,
            settings.sandbox_visible,
            settings.sandbox_network,
            settings.sandbox_user_namespaces,
        )
