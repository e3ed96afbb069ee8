"""Brings commits that an agent made into the project's repository, after verification.

git does not verify the name of a loose object when it reads one. An agent could store other content under the name of
an existing object, and every later checkout would use it. So agents write to an object folder of their own
(worktree_views.py), and nothing reads that folder except the agent and this module, which computes the names
of the objects again from their content, checks their form, and requires that everything they refer to exists.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from worktree_svc.git.process.command import Git

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Up to this many objects, and bytes, are stored one by one, because many small packs would slow git down.
_MOST_LOOSE: Final = 100
_MOST_LOOSE_BYTES: Final = 8 << 20


def bring_in(git: Git, objects: Path, commits: Sequence[str]) -> None:
    """Copies commits from an agent's object folder, with all that they need; raises GIT_FAILED or DISK_FULL.

    `git` is for the project's repository. Commits that it has already are left out. After an error, nothing was copied.
    """
    wanted = [commit for commit in dict.fromkeys(commits) if git.object_id(commit) is None]
    if not wanted:
        return
    _remove_special(objects)
    with git.with_batched_objects() as verifying:
        if verifying.objects is None:
            raise RuntimeError("objects need a separate folder until they are verified")
        packs = verifying.objects / "pack"
        packs.mkdir(exist_ok=True)
        arguments = (
            "pack-objects",
            "--quiet",
            "--revs",
            "--delta-base-offset",
            "--non-empty",
            str(packs / "pack"),
        )
        known = sorted(set(git.text("for-each-ref", "--format=^%(objectname)").split()))
        asked = "".join(f"{line}\n" for line in (*wanted, *known)).encode()
        # Reads the agent's folder; what it says about the objects is not used.
        replace(verifying, alternate_objects=objects).text(*arguments, stdin=asked)
        for pack in list(packs.glob("*.pack")):
            for index in packs.glob(f"{pack.stem}.*"):
                if index != pack:
                    index.unlink()
            _verify(verifying, pack)
    log.info("objects_brought_in", commits=wanted)


def _verify(git: Git, pack: Path) -> None:
    """Makes the objects of a pack usable by `git`, which cannot read the agent's folder."""
    if git.run("config", "extensions.partialclone").stdout:
        # Objects that a partial clone lacks are promised by its remote, so not everything can be required.
        git.text("index-pack", "--fsck-objects", str(pack))
    elif _count(pack) <= _MOST_LOOSE and pack.stat().st_size <= _MOST_LOOSE_BYTES:
        git.text("unpack-objects", "-q", "--strict", stdin=pack.read_bytes())
        pack.unlink()
    else:
        git.text("index-pack", "--strict", str(pack))


def _count(pack: Path) -> int:
    """Returns the number of objects in a pack, from its header."""
    with pack.open("rb") as file:
        return int.from_bytes(file.read(12)[8:], "big")


def _remove_special(objects: Path) -> None:
    """Removes everything from an object folder that is not a file or folder: git would wait for a pipe, or follow a link."""
    for parent, folders, names in os.walk(objects):
        for path in (Path(parent, name) for name in (*folders, *names)):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                path.unlink()
