"""Protects the process of a service from other programs of its machine, those of the same user included."""

import os
import sys
from typing import Final

from heddle.config import Settings
from heddle.files import data_folder

_PR_SET_DUMPABLE: Final = 4

# The umask of a service's own files.
_PRIVATE: Final = 0o077

# Variables that programs started by a service do not need, and that their environment would show to others.
_SECRETS: Final = ("HEDDLE_TOKEN", "HEDDLE_DATABASE_URL")

# The umask with which the process was started. None: it was not changed.
_inherited: int | None = None


def protect(settings: Settings, *, private_files: bool = True) -> None:
    """Prepares the process of a service: call it once, after logging is configured, before anything is opened.

    - HEDDLE_HOME becomes private to its user; raises ConfigError if that is not possible.
    - New files are private to the user, unless `private_files` is false: for a service that writes the user's
      own repositories. Programs that the service starts for the user get `umask_of_user`.
    - On Linux, other processes of the user cannot read the memory and the environment of the service. Programs
      that it starts, such as git, can be read: they do not get its secrets, so read the settings before.
    """
    import structlog  # noqa: PLC0415 (commands import this module, and log nothing)

    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    global _inherited  # noqa: PLW0603 (a process has one umask, and it can only be read by changing it)
    if private_files:
        _inherited = os.umask(_PRIVATE)
    close_memory()
    for name in _SECRETS:
        if name not in settings.agent_env:
            os.environ.pop(name, None)
    try:
        if changed := data_folder.make_private(settings.home):
            log.warning("data_folder_permissions", detail=changed)
    except OSError as error:
        # A service that needs the folder reports this itself; the web app of a cluster has none.
        log.debug("data_folder_not_made", error=str(error))


def umask_of_user() -> int:
    """Returns the umask for programs of the user, or -1 (as subprocess has it) to leave the umask as it is."""
    return -1 if _inherited is None else _inherited


def close_memory() -> None:
    """Keeps other processes of the same user from reading this process: /proc/PID/environ, mem, fd. Linux only.

    It also writes no core file. Programs that it starts are not affected.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 (commands import this module, and need it only as a service)

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
