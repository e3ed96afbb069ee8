"""Finds or installs bubblewrap for the write boundary tests: `python -m tests.sandbox_setup`.

If bubblewrap does not work, prints why, and the tests are skipped. If CI=true, this is a failure.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from agent_svc.sandbox.bubblewrap import PROGRAM, Bubblewrap, NoSandboxError
from agent_svc.sandbox.network import PASTA
from agent_svc.sandbox.rules import Rules
from tests.system_packages import install


def trouble() -> str:
    """Returns why no sandbox works here; empty if one works."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Bubblewrap.find(Rules(Path(folder)))
        except NoSandboxError as error:
            return f"{error}: {error.advice}"
    return ""


def main() -> int:
    """Finds or installs bubblewrap and passt, and prints whether bubblewrap works; returns the exit code."""
    problem = trouble()
    if problem.startswith(f"{PROGRAM} is not on PATH") and install("bubblewrap"):
        problem = trouble()
    if not problem:
        if shutil.which(PASTA) is None and not install("passt"):
            print("No network namespaces: the tests of HEDDLE_SANDBOX_NETWORK=internet are skipped.")
        print("The tests of the write boundary use bubblewrap")
        return 0
    print(f"No write boundary: {problem}. Its tests are skipped.")
    return int(os.environ.get("CI") == "true")


if __name__ == "__main__":
    sys.exit(main())
