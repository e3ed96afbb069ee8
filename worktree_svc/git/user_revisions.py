"""Resolves revisions as the user's own git would: `HEAD@{1}`, `stash@{0}`, `:/text`, `main@{upstream}`.

To resolve these, git needs the reflogs, the HEAD of the user's checkout and the settings of branches. A
temporary folder contains them, without the rest of the repository's configuration, which may name programs.
"""

import tempfile
from pathlib import Path
from typing import Final

from worktree_svc.git.private_folders import LINKS, setting
from worktree_svc.git.process.command import SCRATCH, Git, decode
from worktree_svc.storage import files

_SETTINGS: Final = r"^(branch\..*\.(remote|merge)|remote\..*\.fetch)$"

# git never writes a longer HEAD.
_MOST_BYTES: Final = 64 << 10


def look_up(revision: str, *, git_dir: Path, common: Path, private: Path) -> str | None:
    """Returns the object that `revision` refers to in the checkout of `git_dir`; None if there is none."""
    if any(letter < " " for letter in revision):
        return None
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=private) as scratch:
        shared, own = Path(scratch, "common"), Path(scratch, "own")
        for folder in (shared, own):
            folder.mkdir()
        for name in LINKS:
            (shared / name).symlink_to(common / name)
        (shared / "config").write_text(
            (private / "config").read_text(errors="surrogateescape") + _branches(common),
            errors="surrogateescape",
        )
        (own / "commondir").write_text(f"{shared}\n", errors="surrogateescape")
        for name in ("logs", "refs"):
            (own / name).symlink_to(git_dir / name)
        for head in git_dir.glob("*HEAD"):
            # HEAD is copied, because git would read a link as a symbolic ref.
            if head.is_file() and not head.is_symlink() and head.stat().st_size <= _MOST_BYTES:
                files.copy_atomically(head, own / head.name)
        output = Git(own, git_dir=own).run("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
    return decode(output.stdout).strip() if output.code == 0 else None


def _branches(common: Path) -> str:
    """Returns the upstream settings of all branches, as the text of a configuration file."""
    output = Git(common, git_dir=common).run("config", "--null", "--get-regexp", _SETTINGS)
    pairs = (entry.partition("\n") for entry in decode(output.stdout).split("\0")[:-1])
    return "".join(setting(key, value) for key, _, value in pairs)
