"""Finds or installs a Chromium for the browser tests: `python -m tests.browser_setup`."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests import system_packages

# The first one draws no window and so needs a third less processor time.
PROGRAMS: Final = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)

ADVICE: Final = (
    "No Chromium was found. Install one (`apt-get install chromium`, `dnf install chromium`, "
    "`playwright install chromium`, …) or name one with HEDDLE_CHROMIUM=/path/to/chromium."
)


def chromium_path() -> str | None:
    """Returns the Chromium to test with: the one named by HEDDLE_CHROMIUM, one on PATH, or Playwright's own."""
    named = os.environ.get("HEDDLE_CHROMIUM")
    if named:
        return shutil.which(named)
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or _best_build(_full_build())


def main() -> int:
    """Finds or installs a Chromium and prints its path; returns the exit code."""
    found = chromium_path()
    if found is None and os.environ.get("HEDDLE_CHROMIUM"):
        print(f"HEDDLE_CHROMIUM names {os.environ['HEDDLE_CHROMIUM']}, which is no program.", file=sys.stderr)
        return 1
    ways: list[Callable[[], bool]] = [_download]
    ways += [partial(system_packages.install, name) for name in PROGRAMS[:2]]
    for get in ways:
        if found is None and get():
            found = chromium_path()
    if found is None:
        print(ADVICE, file=sys.stderr)
        return 1
    print(f"The browser tests use {found}")
    return 0


def _full_build() -> Path:
    """Returns where Playwright installs its full build."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _best_build(whole: Path) -> str | None:
    """Returns the headless build next to the full build `whole`, or else that; None if neither is installed."""
    # …/chromium-1255/…, next to …/chromium_headless_shell-1255/…
    folder = next(each for each in whole.parents if each.name.startswith("chromium-"))
    name = folder.name.replace("chromium-", "chromium_headless_shell-")
    found = [*folder.with_name(name).glob("*/*headless*shell"), whole]
    return next((str(path) for path in found if path.exists()), None)


def _download() -> bool:
    """Lets Playwright download its own build."""
    print("Downloading Playwright's Chromium …")
    return system_packages.run([sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"])


if __name__ == "__main__":
    sys.exit(main())
