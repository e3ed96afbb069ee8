"""The tokens with which other workers use a repository of this one, each for one epic and one generation of its place.

A token is signed with a key that only this process has, so nothing of it is stored. It is valid for minutes: the leader
asks for another one for each call.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from heddle.names import EpicName

# Seconds. Longer than the slowest git command of one call.
VALID: Final = 900.0


@dataclass(frozen=True)
class Grant:
    """What the owner of a token may do: read a project, and push the refs of an epic."""

    # An absolute path.
    project: str
    epic: EpicName
    # Of the epic's place. 0: it may only read.
    generation: int

    @property
    def path(self) -> str:
        """The path of the project in the URL."""
        return f"/{hashlib.sha256(self.project.encode()).hexdigest()[:16]}.git"


class Grants:
    """Issues tokens and reads them. Safe to use from threads. `now` returns a time in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._now = now

    def issue(self, grant: Grant) -> str:
        """Returns a new token."""
        content = [grant.project, *grant.epic, grant.generation, self._now() + VALID]
        said = base64.urlsafe_b64encode(json.dumps(content).encode())
        return f"{said.decode()}.{self._signature(said)}"

    def read(self, token: str) -> Grant | None:
        """Returns what a token allows; None if it was not issued here or has expired."""
        said, _, signature = token.partition(".")
        # Compared as bytes, because a header can contain anything.
        if not hmac.compare_digest(self._signature(said.encode()).encode(), signature.encode()):
            return None
        project, run, epic, generation, expires = json.loads(base64.urlsafe_b64decode(said))
        return Grant(project, EpicName(run, epic), generation) if self._now() < expires else None

    def _signature(self, said: bytes) -> str:
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()
