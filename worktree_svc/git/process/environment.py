"""The settings of every git process of the service, the same on every machine."""

import os
from collections.abc import MutableMapping
from typing import Final

# The author if the repository's user has not configured a name and an email.
NAME: Final = "Heddle"
EMAIL: Final = "heddle@localhost"

# All other GIT_ variables are removed: another repository, index, author or program to run
# must come from a call, never from the shell in which the service was started.
_KEPT_VARIABLES: Final = (
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "GIT_PYTHON_",
    "GIT_SSH",
    "GIT_SSL",
    "GIT_ASKPASS",
)

_CONFIG: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.sparseCheckout": "false",
    "core.quotePath": "false",
    # By default git does not sync loose objects, so an accepted commit could be lost in a power cut.
    "core.fsync": "committed",
    "core.fsyncMethod": "batch",
    # Milliseconds for which git itself waits for the lock of another git.
    "core.filesRefLockTimeout": "5000",
    "core.packedRefsTimeout": "5000",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.file.allow": "user",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    # Files are checked out by as many processes as there are cores.
    "checkout.workers": "0",
    "worktree.useRelativePaths": "false",
    "color.ui": "false",
}

ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_TERMINAL_PROMPT": "0",
    # Looking at a user's checkout must not rewrite its index.
    "GIT_OPTIONAL_LOCKS": "0",
    # refs/replace/ would show another commit in place of the real one.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "GIT_CONFIG_COUNT": str(len(_CONFIG)),
    **{f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(_CONFIG)},
    **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(_CONFIG.values())},
}


def forget_inherited(environ: MutableMapping[str, str]) -> None:
    """Removes the variables that would redirect git from the environment, for example GIT_DIR inside a hook."""
    for name in list(environ):
        if name.startswith("GIT_") and not name.startswith(_KEPT_VARIABLES):
            del environ[name]
