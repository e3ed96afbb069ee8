"""What the operator decided about the sandbox of every session."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from heddle.config import ConfigError, Settings, files_of_settings

Network: TypeAlias = Literal["open", "internet", "none"]

# A key in PEM form is far smaller.
_MAX_KEY_BYTES: Final = 64 << 10
_KEY: Final = b"PRIVATE KEY-----"


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
    def of(cls, settings: Settings, environ: Mapping[str, str] = os.environ) -> Self:
        """Returns the rules of `settings`; raises ConfigError if they would show the data of the service.

        `environ` is what the settings were read from: files that it names hold secrets.
        """
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
            tuple(dict.fromkeys((*_keys(settings), *files_of_settings(environ)))),
            settings.sandbox_hidden,
            settings.sandbox_visible,
            settings.sandbox_network,
            settings.sandbox_user_namespaces,
        )


def _keys(settings: Settings) -> Iterator[Path]:
    """Yields the key of this service, and all private keys next to it: a set has those of other services as well."""
    if not settings.tls:
        return
    yield settings.tls.key
    for path in sorted(settings.tls.key.parent.iterdir()):
        try:
            if path.is_file() and path.stat().st_size <= _MAX_KEY_BYTES and _KEY in path.read_bytes():
                yield path
        except OSError:
            # What this service cannot read, its agents cannot read either.
            continue
