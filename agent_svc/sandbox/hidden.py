"""The secrets and sockets of a user that no session sees, unless the operator shows them.

docs/agents.md lists `IN_HOME`; a test keeps both the same. HEDDLE_SANDBOX_HIDDEN adds paths, and
HEDDLE_SANDBOX_VISIBLE shows paths. A path that does not exist when a session starts is not hidden
from it if it is created later.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from agent_svc.sandbox.rules import Rules

# Paths relative to the home folder, by what they contain.
IN_HOME: Final[Mapping[str, tuple[str, ...]]] = {
    "keys and passwords": (
        ".ssh",
        ".gnupg",
        ".password-store",
        ".netrc",
        ".pgpass",
        ".my.cnf",
        ".mylogin.cnf",
        ".vault-token",
        ".local/share/keyrings",
        ".local/share/kwalletd",
        ".config/op",
        ".config/1Password",
        ".config/Bitwarden",
        ".config/keepassxc",
        ".config/sops",
        ".config/age",
    ),
    "code forges": (
        ".git-credentials",
        ".config/git/credentials",
        ".config/gh",
        ".config/glab-cli",
        ".config/hub",
        ".config/tea",
    ),
    "clouds": (
        ".aws",
        ".azure",
        ".boto",
        ".config/gcloud",
        ".config/doctl",
        ".config/hcloud",
        ".config/heroku",
        ".config/netlify",
        ".config/rclone",
        ".config/scw",
        ".config/.wrangler",
        ".databrickscfg",
        ".fly",
        ".kaggle",
        ".oci",
        ".s3cfg",
        ".snowflake",
        ".terraform.d",
        ".local/share/com.vercel.cli",
    ),
    "clusters and containers": (
        ".kube",
        ".minikube",
        ".docker/config.json",
        ".docker/run",
        ".docker/desktop",
        ".config/containers/auth.json",
        ".config/helm",
        ".colima",
        ".lima",
        ".rd",
        ".orbstack",
    ),
    "publishing packages": (".pypirc", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials"),
    "another Heddle's data": (".heddle",),
    "models": (".cache/huggingface/token", ".huggingface"),
    "browsers and mail": (
        ".mozilla",
        ".thunderbird",
        ".config/google-chrome",
        ".config/chromium",
        ".config/BraveSoftware",
        ".config/microsoft-edge",
        ".config/opera",
        ".config/vivaldi",
        ".config/Signal",
        ".config/Slack",
        ".config/discord",
        ".var/app",
        "snap",
    ),
    "the desktop and shell histories": (
        ".Xauthority",
        ".ICEauthority",
        ".1password",
        ".bash_history",
        ".zsh_history",
        ".local/share/fish",
        ".local/share/atuin",
        ".python_history",
        ".node_repl_history",
        ".psql_history",
        ".mysql_history",
        ".sqlite_history",
        ".rediscli_history",
    ),
    "macOS": (
        "Library/Keychains",
        "Library/Cookies",
        "Library/Mail",
        "Library/Messages",
        "Library/Safari",
        "Library/Containers/com.docker.docker",
        "Library/Application Support/Firefox",
        "Library/Application Support/Google",
        "Library/Application Support/Chromium",
        "Library/Application Support/BraveSoftware",
        "Library/Application Support/Microsoft Edge",
        "Library/Group Containers",
    ),
}

# The kernel's list of Unix sockets with their paths.
SOCKETS: Final = Path("/proc/net/unix")

# Folders of sockets besides /run: those of Windows' display in WSL.
SOCKET_FOLDERS: Final = ("/mnt/wslg",)


def hidden_paths(rules: Rules, homes: Iterable[Path], own: Sequence[Path] = ()) -> list[Path]:
    """Returns the existing paths to hide below each of `homes`, and those that the operator adds, resolved.

    Paths at or below one of `own`, the folders of the session's agent, are left out, and so are those at or
    below a path that the operator shows.
    """
    listed = [home / name for home in homes for names in IN_HOME.values() for name in names]
    shown = [path.resolve() for path in (*rules.visible, *own)]
    named = [*listed, *rules.hidden, *map(Path, SOCKET_FOLDERS), *_runtime_folder()]
    found = dict.fromkeys(path.resolve() for path in named if os.path.lexists(path))
    # False, not an error, for a link to what the service itself cannot access.
    return [path for path in found if os.path.exists(path) and not within(path, shown)]  # noqa: PTH110 (see above)


def sockets(table: Path = SOCKETS) -> list[Path]:
    """Returns the sockets of other programs: a process can connect to them through a read-only file system."""
    found = set()
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []
    for line in lines:
        # Num RefCount Protocol Flags Type St Inode Path; the path of an abstract socket begins with @.
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith("/") and _is_socket(path := Path(fields[7])):
            found.add(path.resolve())
    return sorted(found)


def is_reachable(path: Path) -> bool:
    """Returns whether this user can look up `path` without power over the folders of others.

    Root has none in a user namespace: it can neither use such a path there nor make a mount point for it.
    """
    user, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
    for folder in path.parents:
        try:
            status = folder.stat()
        except OSError:
            return False
        mine = status.st_uid == user or (status.st_gid in groups and status.st_mode & stat.S_IXGRP)
        if not mine and not status.st_mode & stat.S_IXOTH:
            return False
    return True


def _runtime_folder() -> Iterator[Path]:
    """Yields the folder in which programs of the user's desktop keep their sockets; normally it is below /run."""
    if named := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(named)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def within(path: Path, folders: Iterable[Path]) -> bool:
    """Returns whether `path` is one of `folders` or below one of them."""
    return any(path.parts[: len(folder.parts)] == folder.parts for folder in folders)
