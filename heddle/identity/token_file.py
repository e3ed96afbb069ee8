"""Tokens in private files: the operator's own, and that of the web app."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from heddle.config import ConfigError, Settings

# A prefix lets scanners of leaked secrets find tokens.
_PREFIX: Final = "heddle_"


def new_token() -> str:
    """Returns a new secret of 256 bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def reading_part(session: str) -> str:
    """Returns the part of a browser session's token that only reads.

    It is in the browser's cookie. Browsers send cookies to all ports of a host, also to a server that an agent has started:
    whoever receives it there must not be able to change anything. The whole token cannot be computed from it.
    """
    return _PREFIX + hashlib.sha256(f"reading part of {session}".encode()).hexdigest()


def operator_file(home: Path) -> Path:
    """Returns the file of the operator's token, which every client of this user finds."""
    return home / "token"


def web_file(home: Path) -> Path:
    """Returns the file of the token with which the web app calls the scheduler."""
    return home / "web-token"


def ensure(path: Path) -> str:
    """Returns the token in the file, after creating it if needed; only its owner can read it. Idempotent.

    Raises ConfigError if others can read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "w") as file:
            file.write(new_token() + "\n")
        try:
            # Of several processes, one wins, and all read the same token.
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            f"{path} can be read by others; remove it, and a new token is created at the next start"
        )
    return path.read_text().strip()


def read(path: Path) -> str:
    """Returns the token in the file; empty if there is none yet, or it may not be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def of_client(settings: Settings) -> str:
    """Returns the token with which a client signs in: HEDDLE_TOKEN, or else that of the data folder."""
    return settings.token or read(operator_file(settings.home))
