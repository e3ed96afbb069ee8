"""Installs the real agents for the tests: `python -m tests.agents_setup`; `more` adds those of `make agents`.

pip packages go into this environment, npm packages into its folder `agents`. A part whose
pins have not changed is not installed again. A part that cannot be installed is reported but is
not a failure: its tests report the same, and fail only if CI=true.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = Path(sys.prefix) / "agents"
NODE_PACKAGES: Final = ("package.json", "package-lock.json")

# Seconds. Claude alone is 170 MB.
TIMEOUT: Final = 900

# Runs a command in a folder; returns why it failed, or an empty string.
Run = Callable[[Sequence[str], Path], str]


@dataclass(frozen=True)
class Part:
    """Agents that one package manager installs."""

    name: str
    agents: str
    # The file with their pins. A change triggers a new installation.
    pins: Path
    install: Callable[[Run], str]


def main() -> int:
    """Installs missing agents; returns the exit code, which is always 0."""
    FOLDER.mkdir(exist_ok=True)
    usual, more = ROOT / "tests" / "agents", ROOT / "tests" / "agents" / "presets"
    print(
        get(
            Part("pip", "Claude Code and the ACP library", ROOT / "requirements" / "agents.txt", with_pip),
            FOLDER,
            run,
        )
    )
    npm = partial(with_npm, usual, FOLDER)
    print(get(Part("npm", "an ACP adapter and Codex", usual / "package-lock.json", npm), FOLDER, run))
    if "more" in sys.argv[1:]:
        (folder := FOLDER / "presets").mkdir(exist_ok=True)
        npm = partial(with_npm, more, folder)
        part = Part("npm", "Gemini CLI, OpenCode and Codex' adapter", more / "package-lock.json", npm)
        print(get(part, folder, run))
    return 0


def get(part: Part, folder: Path, runs: Run) -> str:
    """Installs a part unless its stamp in `folder` is current; returns a message for the user."""
    stamp = folder / f"{part.name}.stamp"
    wanted = hashlib.sha256(part.pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return f"The agent tests use {part.agents} (by {part.name})"
    print(f"Getting {part.agents} by {part.name} …", flush=True)
    if problem := part.install(runs):
        return f"Could not get {part.agents}: {problem}. Their tests are skipped."
    stamp.write_text(wanted)
    return f"Got {part.agents} (by {part.name})"


def with_pip(runs: Run) -> str:
    """Installs the optional extras into this environment; returns why it failed, or an empty string."""
    pins = str(ROOT / "requirements" / "agents.txt")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    return runs([sys.executable, "-m", "pip", "install", *options, "--requirement", pins], ROOT)


def with_npm(pins: Path, folder: Path, runs: Run) -> str:
    """Installs the packages that `pins` names into `folder`; returns why it failed, or an empty string."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "Node.js and npm are not installed"
    for name in NODE_PACKAGES:
        shutil.copy(pins / name, folder)
    # No install scripts: the packages contain ready-made programs.
    return runs(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)


def run(command: Sequence[str], folder: Path) -> str:
    """Runs a command; returns the last line of its error output, or an empty string if it succeeded."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            env={**os.environ, "PIP_NO_INPUT": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return ((done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"])[-1]


if __name__ == "__main__":
    sys.exit(main())
