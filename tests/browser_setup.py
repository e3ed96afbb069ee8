"""Makes sure that a Chromium is there for the browser tests: `python -m tests.browser_setup`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# What each system's package manager calls with the name of its package. "apt-get
# update" comes first where a list of packages may be missing.
MANAGERS: Final = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]),
    "dnf": (["dnf", "install", "-y", "-q", "chromium"],),
    "apk": (["apk", "add", "--quiet", "chromium"],),
    "brew": (["brew", "install", "--cask", "chromium"],),
}

ADVICE: Final = (
    "No Chromium was found. Install one (`apt-get install chromium`, `dnf install chromium`, "
    "`playwright install chromium`, …) or name one with HEDDLE_CHROMIUM=/path/to/chromium."
)


def chromium_path() -> str | None:
    """Returns the Chromium to test with: what HEDDLE_CHROMIUM names, one on PATH, or Playwright's own."""
    named = os.environ.get("HEDDLE_CHROMIUM")
    if named:
        return shutil.which(named)
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or _playwrights_own()


def main() -> int:
    """Finds or installs a Chromium and says which; returns the exit code."""
    found = chromium_path()
    if found is None and os.environ.get("HEDDLE_CHROMIUM"):
        print(f"HEDDLE_CHROMIUM names {os.environ['HEDDLE_CHROMIUM']}, which is no program.", file=sys.stderr)
        return 1
    for install in (_download, _install_package):
        if found is None and install():
            found = chromium_path()
    if found is None:
        print(ADVICE, file=sys.stderr)
        return 1
    print(f"The browser tests use {found}")
    return 0


def _playwrights_own() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _download() -> bool:
    """Lets Playwright download its own build."""
    print("Downloading Playwright's Chromium …")
    return _run([sys.executable, "-m", "playwright", "install", "chromium"])


def _install_package() -> bool:
    """Asks the system's package manager, as root if that needs no password."""
    manager = next(filter(shutil.which, MANAGERS), None)
    if manager is None:
        print("This system has none of " + ", ".join(MANAGERS) + ".")
        return False
    needs_root = manager != "brew" and os.geteuid() != 0
    prefix = ["sudo", "-n"] if needs_root else []
    print(f"Installing Chromium with {manager} …")
    return all(_run([*prefix, *command]) for command in MANAGERS[manager])


def _run(command: list[str]) -> bool:
    """Runs a command; prints why it failed, if it did."""
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


if __name__ == "__main__":
    sys.exit(main())
