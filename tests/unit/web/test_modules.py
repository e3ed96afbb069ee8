"""Table tests in Node.js for the pure logic of the browser's modules."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web_tools import FOLDER

HERE = Path(__file__).parent


def test_browser_logic() -> None:
    """Every table test in this folder passes; failures are printed."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "vue").exists():
        reason = "Node.js or a package is missing; `python -m tests.web_tools` installs the packages"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI runs everything, but {reason}")
        pytest.skip(reason)
    files = sorted(str(path) for path in HERE.glob("*.test.js"))
    assert files
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", *files], capture_output=True, text=True, check=False
    )
    # The reporter repeats the failures, with their differences, at the end.
    assert done.returncode == 0, done.stdout.rpartition("failing tests:")[2] + done.stderr
