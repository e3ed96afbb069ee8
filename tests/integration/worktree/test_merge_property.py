"""For random histories: a line that was accepted is in the target, or the merge was a conflict."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from heddle.names import EpicName
from tests.support.repositories import GIT_ENVIRONMENT, git, make_repository
from worktree_svc.merges import Conflict, Merges, Request
from worktree_svc.private import PrivateFolders
from worktree_svc.radar import Question, Radar

# HEDDLE_EXAMPLES=1000 for a long run; HEDDLE_SEED repeats one that failed.
EXAMPLES = int(os.environ.get("HEDDLE_EXAMPLES", "100"))
SEED = int(os.environ.get("HEDDLE_SEED", "0")) or random.SystemRandom().randrange(1 << 32)

FILES = ("a", "b", "dir/c")
BASE = [f"base {number}" for number in range(6)]
BRANCHES = ("one", "two")

Lines = set[tuple[str, str]]
Edit = tuple[str, int, int, int]

# In one commit: in which file, how many lines go away from where, how many new ones come there.
edits = st.tuples(st.sampled_from(FILES), st.integers(0, 7), st.integers(0, 3), st.integers(0, 2))
histories = st.tuples(*[st.lists(edits, min_size=1, max_size=4) for _ in BRANCHES])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("property") / "project"
    return make_repository(folder, {name: "\n".join([*BASE, ""]) for name in FILES})


class History:
    """One epic's commits, and what has become of each line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.content = {file: list(BASE) for file in FILES}
        self.added: Lines = set()
        self.removed: Lines = set()
        self._count = 0

    def apply(self, edit: Edit) -> None:
        file, place, gone, new = edit
        lines = self.content[file]
        self.removed |= {(file, line) for line in lines[place : place + gone]}
        added = [f"{self.name} {self._count + number}" for number in range(new)]
        self._count += new
        self.added |= {(file, line) for line in added}
        lines[place : place + gone] = added


def commit(project: Path, name: str, edits_of_it: list[Edit]) -> History:
    """Makes branch `name` with a commit for each edit, without a checkout, as a stream to fast-import."""
    history = History(name)
    stream = [f"reset refs/heads/{name}", "from refs/heads/main^0", ""]
    for edit in edits_of_it:
        history.apply(edit)
        stream += [f"commit refs/heads/{name}", "committer Ada <ada@example.com> 0 +0000"]
        # Else two epics that do the same share commits, as epics never do.
        stream += [f"data {len(name)}", name]
        for file, lines in history.content.items():
            text = "".join(f"{line}\n" for line in lines)
            stream += [f"M 100644 inline {file}", f"data {len(text)}", text]
    stream += ["done", ""]
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force", "--done"],
        cwd=project,
        env={**os.environ, **GIT_ENVIRONMENT},
        input="\n".join(stream).encode(),
        check=True,
        capture_output=True,
    )
    return history


def content(project: Path, branch: str) -> Lines:
    return {(file, line) for file in FILES for line in git(project, "show", f"{branch}:{file}").splitlines()}


@pytest.mark.timeout(120 + EXAMPLES)
@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(histories=histories, squash=st.booleans())
def test_an_accepted_line_is_merged_or_conflicted(
    project: Path, histories: tuple[list[Edit], ...], *, squash: bool
) -> None:
    """What either epic added and nobody removed is in the target; else a foreseen conflict is named and nothing moves."""
    note(f"HEDDLE_SEED={SEED}")
    folders = PrivateFolders(project.parent / "repositories")
    merges = Merges(folders, lambda _: None)
    sides = [commit(project, name, edits) for name, edits in zip(BRANCHES, histories, strict=True)]
    git(project, "update-ref", "refs/heads/target", "main")
    foreseen = [
        pair.files for pair in Radar(folders).predict(str(project), Question(BRANCHES, "main", {})).pairs
    ]
    expected = {(file, line) for file in FILES for line in BASE}
    conflicts = []
    for side in sides:
        before = git(project, "rev-parse", "target")
        request = Request(side.name, "target", "", "", EpicName("r1", side.name), squash=squash)
        result = merges.merge(str(project), 1, request)
        if isinstance(result, Conflict):
            conflicts.append(result.files)
            assert git(project, "rev-parse", "target") == before
        else:
            expected = (expected | side.added) - side.removed
            assert git(project, "rev-parse", "target") == result.commit
    assert content(project, "target") == expected
    assert conflicts == foreseen
