"""Gives git access to a repository that another worker serves, for the calls of one job and no longer.

The mirror of such a project knows only its name, heddle://WORKER/PATH. Where that is, and the token, are in the
environment of the git commands that talk to the remote: not in an argument, not in a file, and not in commands that run
filters, which are other programs.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from heddle import pb
from heddle.config import Tls
from worktree_svc.git.process.environment import ENVIRONMENT

# The commands that talk to a remote.
_COMMANDS: Final = frozenset({"fetch", "push", "ls-remote"})

_NONE: Final[Mapping[bytes, bytes]] = MappingProxyType({})

_variables: ContextVar[Mapping[bytes, bytes]] = ContextVar("remote_access", default=_NONE)


@contextmanager
def opened(project: str, access: pb.RepositoryAccess | None, tls: Tls | None) -> Iterator[None]:
    """Lets git reach `project` inside the block, in this thread. Does nothing if there is no access."""
    if access is None or not access.url:
        yield
        return
    token = _variables.set(_encoded(variables(project, access, tls)))
    try:
        yield
    finally:
        _variables.reset(token)


def with_access(environment: dict[bytes, bytes], arguments: Sequence[str]) -> dict[bytes, bytes]:
    """Returns the environment of a git command, with the variables by which it reaches the project."""
    given = _variables.get()
    if not given or not arguments or arguments[0] not in _COMMANDS:
        return environment
    # Variables of the operator, for other remotes, would count more than settings.
    own = {key: value for key, value in environment.items() if not key.startswith(b"GIT_SSL_")}
    return {**own, **given}


def variables(project: str, access: pb.RepositoryAccess, tls: Tls | None) -> dict[str, str]:
    """Returns git's variables for a repository at another worker. Pure."""
    settings = (
        (f"url.{access.url}.insteadOf", project),
        (f"http.{access.url}.extraHeader", f"Authorization: Bearer {access.token}"),
        # The token goes to this worker only, and no helper of the user is asked for another credential.
        ("http.followRedirects", "false"),
        ("credential.helper", ""),
        # What comes from here stays in packs, as in a clone.
        ("fetch.unpackLimit", "1"),
        ("http.sslVerify", "true"),
    )
    found = config_variables(settings)
    if tls:
        found |= {
            "GIT_SSL_CERT": str(tls.certificate),
            "GIT_SSL_KEY": str(tls.key),
            "GIT_SSL_CAINFO": str(tls.authority),
        }
    return found


def config_variables(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Returns the variables that give git settings in addition to those of every command, in order. Pure."""
    first = int(ENVIRONMENT["GIT_CONFIG_COUNT"])
    found = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, first):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _encoded(found: Mapping[str, str]) -> Mapping[bytes, bytes]:
    return {key.encode(): os.fsencode(value) for key, value in found.items()}
