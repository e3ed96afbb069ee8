"""Files that git skips: missing in the worktree but not deleted (sparse checkout, skip-worktree bit).

Only the agent's own index lists them. That index may contain anything, so only one fact in it is
trusted: that a missing file was not deleted, and what content it has.
"""

from collections.abc import Iterable
from pathlib import Path

from worktree_svc.git.process.command import Git, decode, encode


def entries(git: Git, index: Path, gone: Iterable[str]) -> dict[str, str]:
    """Returns the index entries, MODE OBJECT<TAB>PATH by path, of files among `gone` that are only skipped.

    `git` is for the worktree, `index` is the agent's own. Empty if git cannot read the index.
    """
    wanted = set(gone)
    if not wanted or index.is_symlink() or not index.is_file():
        return {}
    listed = git.at(git.folder, index=index).run("ls-files", "-t", "--stage", "-z")
    found: dict[str, str] = {}
    for line in decode(listed.stdout).split("\0")[:-1]:
        entry, _, path = line.partition("\t")
        tag, mode, blob, _ = entry.split(" ")
        if tag == "S" and path in wanted:
            found[path] = f"{mode} {blob}\t{path}"
    return _existing(git, found)


def _existing(git: Git, found: dict[str, str]) -> dict[str, str]:
    """Returns the entries whose objects exist, and all entries of submodules, whose commits may be missing."""
    if not found:
        return {}
    names = {path: entry.partition("\t")[0].split(" ")[1] for path, entry in found.items()}
    asked = encode("".join(f"{name}\n" for name in names.values()))
    types = git.text("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    blobs = {line.partition(" ")[0] for line in types.splitlines() if line.endswith(" blob")}
    return {
        path: entry for path, entry in found.items() if entry.startswith("160000 ") or names[path] in blobs
    }
