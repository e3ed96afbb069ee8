"""Files that an agent's git took away without deleting them: a sparse checkout, or the skip-worktree bit.

Only the agent's own index knows of them. It may hold anything, so it is believed in
nothing but this: that a file which is not there was not deleted, and which content it has.
"""

from collections.abc import Iterable
from pathlib import Path

from worktree_svc.git.command import Git, decode, encode


def entries(git: Git, index: Path, gone: Iterable[str]) -> dict[str, str]:
    """Returns the index entries, MODE OBJECT<TAB>PATH by path, of files among `gone` that git only took away.

    `git` is over the files, `index` the agent's own. An index that git cannot read says nothing.
    """
    wanted = set(gone)
    if not wanted or index.is_symlink() or not index.is_file():
        return {}
    listed = git.at(git.folder, index=index).attempt("ls-files", "-t", "--stage", "-z")
    found: dict[str, str] = {}
    for line in decode(listed.stdout).split("\0")[:-1]:
        told, _, path = line.partition("\t")
        tag, mode, blob, _ = told.split(" ")
        if tag == "S" and path in wanted:
            found[path] = f"{mode} {blob}\t{path}"
    return _there(git, found)


def _there(git: Git, found: dict[str, str]) -> dict[str, str]:
    """Returns those whose objects are there; a submodule's commit need not be."""
    if not found:
        return {}
    names = {path: entry.partition("\t")[0].split(" ")[1] for path, entry in found.items()}
    asked = encode("".join(f"{name}\n" for name in names.values()))
    told = git.text("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    blobs = {line.partition(" ")[0] for line in told.splitlines() if line.endswith(" blob")}
    return {
        path: entry for path, entry in found.items() if entry.startswith("160000 ") or names[path] in blobs
    }
