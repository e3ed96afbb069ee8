"""Installs the tools for the browser code and runs one of their scripts: `python -m tests.web_tools check`.

`check` also builds the code and compares the result with the committed ui_svc/web/dist. npm installs the tools below ui_svc/web/node_modules, as pinned by the lock file there. Without a script, they are
only installed. If Node.js or the network is missing, an error is printed; it is a failure only if CI=true,
as for the agents of tests/agents_setup.py.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.agents_setup import Run, run

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "ui_svc" / "web"


def main() -> int:
    """Installs the tools, then runs the script that the command line names; returns the exit code."""
    script = sys.argv[1] if len(sys.argv) > 1 else ""
    if problem := install(FOLDER, run):
        print(f"The tools of the browser's code are not installed: {problem}.", file=sys.stderr)
        if script:
            print(f"So `npm run {script}` did not run in ui_svc/web.", file=sys.stderr)
        return int(os.environ.get("CI") == "true")
    if not script:
        return 0
    code = subprocess.run(["npm", "run", "--silent", script], cwd=FOLDER, check=False).returncode
    if code or script != "check":
        return code
    if stale := stale_files(FOLDER):
        print(f"ui_svc/web/dist is not what `make web` builds: {', '.join(stale)}.", file=sys.stderr)
        return 1
    return 0


def stale_files(folder: Path) -> list[str]:
    """Builds the code in `folder` elsewhere; returns the files of its `dist` that differ, are missing or are left over."""
    with tempfile.TemporaryDirectory() as scratch:
        build = ["npm", "run", "--silent", "build", "--", "--outDir", scratch, "--logLevel", "error"]
        subprocess.run(build, cwd=folder, check=True)
        built, committed = (
            {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            for root in (Path(scratch), folder / "dist")
        )
    return sorted(name for name in built | committed if built.get(name) != committed.get(name))


def install(folder: Path, runs: Run) -> str:
    """Installs the packages that `folder` pins, unless they are current; returns an error or nothing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "Node.js and npm are not on the PATH"
    # npm removes node_modules first, and the stamp with it.
    stamp = folder / "node_modules" / ".heddle-stamp"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    print("Getting the tools of the browser's code by npm …", flush=True)
    # No install scripts: the packages contain ready-made programs.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if problem := runs(["npm", "ci", *options], folder):
        return problem
    stamp.write_text(wanted)
    return ""


if __name__ == "__main__":
    sys.exit(main())
