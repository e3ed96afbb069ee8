"""The tests of the browser code's logic, which run in Node.js."""

import os
import shutil
import subprocess

import pytest

from tests.web_tools import FOLDER


def test_browser_logic() -> None:
    """Every test in ui_svc/web/tests passes; failures are printed."""
    npm = shutil.which("npm")
    if npm is None or not (FOLDER / "node_modules" / "vitest").exists():
        reason = "Node.js or a package is missing; `python -m tests.web_tools` installs the packages"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI runs everything, but {reason}")
        pytest.skip(reason)
    done = subprocess.run(
        [npm, "run", "--silent", "test"],
        cwd=FOLDER,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
