"""The folders outside of the worktree that an agent may read without asking, unless the plan denies it.

Compilers, libraries and packages are read all the time, and contain no secrets. docs/agents.md lists
`SYSTEM` and `IN_HOME`; a test keeps both the same.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

# The variable with the folders that the project links, separated like PATH. agent_svc sets it for the host.
SHARED: Final = "HEDDLE_SHARED_FOLDERS"

SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/gnu/store"),
    *("/System", "/Library/Developer", "/Library/Frameworks"),
    *(
        "/etc/ssl/certs",
        "/etc/ca-certificates",
        "/etc/pki/tls/certs",
        "/etc/pki/ca-trust",
        "/etc/alternatives",
    ),
    *("/etc/os-release", "/etc/lsb-release", "/etc/debian_version", "/dev/null"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg", "/proc/version"),
)

# Relative to the home folder: toolchains, and the downloads of package managers.
IN_HOME: Final = (
    *(".asdf", ".bun", ".cabal/packages", ".cache/bazel", ".cache/ccache", ".cache/deno", ".cache/go-build"),
    *(
        ".cache/ms-playwright",
        ".cache/node",
        ".cache/pip",
        ".cache/pnpm",
        ".cache/pre-commit",
        ".cache/pypoetry",
    ),
    *(
        ".cache/uv",
        ".cache/yarn",
        ".cargo/bin",
        ".cargo/git",
        ".cargo/registry",
        ".conda/pkgs",
        ".deno",
        ".dotnet",
    ),
    *(
        ".fnm",
        ".gem/ruby",
        ".ghcup",
        ".gradle/caches",
        ".gradle/wrapper",
        ".julia/artifacts",
        ".julia/packages",
    ),
    *(".linuxbrew", ".local/bin", ".local/lib", ".local/share/fnm", ".local/share/mise", ".local/share/pipx"),
    *(
        ".local/share/pnpm",
        ".local/share/uv",
        ".m2/repository",
        ".npm/_npx",
        ".nuget/packages",
        ".nvm",
        ".opam",
    ),
    *(".pub-cache", ".pyenv", ".rbenv", ".rustup", ".sdkman", ".stack", ".volta", "anaconda3", "go/pkg"),
    *("micromamba", "miniconda3", "miniforge3"),
)

_TMP: Final = Path("/tmp")  # noqa: S108 (where programs look for it; see `_temporary`)


def readable_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Returns the existing folders, resolved; `environment` is that of the agent's host."""
    home = Path(environment.get("HOME", "/"))
    # Without a home, or with the root as home, nothing can be told from its name.
    named = [home / name for name in IN_HOME] if len(home.parts) > 1 else []
    shared = [Path(path) for path in environment.get(SHARED, "").split(os.pathsep) if path]
    found = (*map(Path, SYSTEM), *named, *shared, *_temporary(environment))
    return tuple(dict.fromkeys(path.resolve() for path in found if path.exists()))


def _temporary(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yields the session's folders for temporary files."""
    if scratch := environment.get("TMPDIR"):
        yield Path(scratch)
        # In a sandbox, /tmp is the same folder; without one, it has the files of others.
        if _TMP.exists() and Path(scratch).exists() and _TMP.samefile(scratch):
            yield _TMP
