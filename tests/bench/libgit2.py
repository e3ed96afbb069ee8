"""Merges random histories with git and with libgit2, and counts the merges that differ.

`pip install pygit2==1.21.0`, then `python -m tests.bench.libgit2`. ADR 7 has the figures. They are
the reason why the project does not depend on pygit2.
"""

import random
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.support.repositories import git

SEED: Final = 20261129
HISTORIES: Final = 150
KINDS: Final = ("edit", "edit", "rename", "add", "delete", "move folder")


def main() -> int:
    """Prints how many merges differ and how; returns the exit code."""
    try:
        pygit2: Any = import_module("pygit2")
    except ImportError:
        print("pygit2 is not installed: pip install pygit2==1.21.0")
        return 1
    chance = random.Random(SEED)
    differing: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(HISTORIES):
            repository = make_history(Path(folder, str(number)), chance)
            theirs, ours = merged_by_git(repository), merged_by_libgit2(pygit2, repository)
            if theirs != ours:
                differing[f"git {_word(theirs)}, libgit2 {_word(ours)}"] += 1
    print(f"seed {SEED}, pygit2 {pygit2.__version__}, libgit2 {pygit2.LIBGIT2_VERSION}")
    print(f"{differing.total()} of {HISTORIES} merges differ")
    for kind, count in differing.most_common():
        print(f"  {count:4} {kind}")
    return 0


def make_history(root: Path, chance: random.Random) -> Path:
    """Creates a repository with branches `one` and `two`, each one to three changes after their base."""
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    for folder in ("a", "b"):
        (root / folder).mkdir()
        for place in range(4):
            lines = (f"{folder}{place} line {line}\n" for line in range(20))
            (root / folder / f"f{place}").write_text("".join(lines))
    _commit(root, "base")
    for branch in ("one", "two"):
        git(root, "checkout", "--quiet", "-b", branch, "main")
        for _ in range(chance.randint(1, 3)):
            _change(root, chance.choice(KINDS), chance)
        _commit(root, branch)
    return root


def merged_by_git(repository: Path) -> str:
    """Returns the tree of the merge of `two` into `one`; empty if it conflicts."""
    command = ["git", "merge-tree", "--write-tree", "one", "two"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()


def merged_by_libgit2(pygit2: Any, repository: Path) -> str:
    """Returns the tree of the same merge by libgit2; empty if it conflicts."""
    opened = pygit2.Repository(str(repository))
    one, two = (opened.branches[name].target for name in ("one", "two"))
    index = opened.merge_commits(one, two)
    return str(index.write_tree(opened)) if index.conflicts is None else ""


def _word(tree: str) -> str:
    return "clean" if tree else "conflict"


def _commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)


def _change(root: Path, kind: str, chance: random.Random) -> None:
    found = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    path = chance.choice(found)
    match kind:
        case "edit":
            lines = path.read_text().splitlines()
            lines[chance.randrange(len(lines))] += chance.choice(" xyz")
            path.write_text("".join(f"{line}\n" for line in lines))
        case "rename":
            path.rename(path.with_name(f"{path.name}r"))
        case "add":
            (path.parent / f"new{chance.randrange(99)}").write_text("new\n" * 9)
        case "delete":
            path.unlink()
        case "move folder" if path.parent != root:
            path.parent.rename(root / f"{path.parent.name}moved")


if __name__ == "__main__":
    sys.exit(main())
