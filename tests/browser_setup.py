"""Makes sure that a Chromium is there for the browser tests: `python -m tests.browser_setup`."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests import system_packages

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

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
    for get in (_download, partial(system_packages.install, "chromium")):
        if found is None and get():
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
    return system_packages.run([sys.executable, "-m", "playwright", "install", "chromium"])


if __name__ == "__main__":
    sys.exit(main())
