"""The npm packages of the JavaScript client, installed once below the environment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PACKAGES = ("package.json", "package-lock.json")

# Seconds; a slow network must not hang the tests.
INSTALL_TIMEOUT = 90


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Returns a folder of installed packages; skips the test if Node.js, npm or the packages are missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js and npm are not installed, so no JavaScript client was run")
    folder = Path(sys.prefix) / "polyglot"
    installed = folder / "installed.json"
    wanted = (HERE / "package-lock.json").read_text()
    if not installed.exists() or installed.read_text() != wanted:
        folder.mkdir(exist_ok=True)
        for name in PACKAGES:
            shutil.copy(HERE / name, folder)
        _install(folder)
        installed.write_text(wanted)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not finish in {INSTALL_TIMEOUT} s, so no JavaScript client was run")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm could not install, so no JavaScript client was run: {error.stderr.strip()}")
