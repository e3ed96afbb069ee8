"""The files of this repository, for tests of their content."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def committed(*patterns: str) -> list[Path]:
    """Returns the files that git tracks, or only those that match one of the glob patterns if any."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    # A tracked file that was just deleted or moved cannot be read.
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
