"""Installs programs for the tests with the system's package manager, as root if that needs no password."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

# The install commands of each manager. apt's package list may be missing, so it is updated first.
MANAGERS: Final = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq"]),
    "dnf": (["dnf", "install", "-y", "-q"],),
    "apk": (["apk", "add", "--quiet"],),
    "brew": (["brew", "install", "--quiet"],),
}


def install(package: str) -> bool:
    """Installs a package; returns whether this succeeded. Prints the progress and any error."""
    manager = next(filter(shutil.which, MANAGERS), None)
    if manager is None:
        print("This system has none of " + ", ".join(MANAGERS) + ".")
        return False
    needs_root = manager != "brew" and os.geteuid() != 0
    prefix = ["sudo", "-n"] if needs_root else []
    print(f"Installing {package} with {manager} …")
    *before, command = MANAGERS[manager]
    return all(run([*prefix, *each]) for each in (*before, [*command, package]))


def run(command: Sequence[str]) -> bool:
    """Runs a command; returns whether it succeeded, and prints the error if it did not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  {' '.join(command)}: {error}")
        return False
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
        print(f"  {' '.join(command)} failed: {last[0]}")
    return done.returncode == 0
