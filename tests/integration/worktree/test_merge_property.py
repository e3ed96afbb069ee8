"""For random histories, every accepted line is in the target, or the merge had a conflict.

Merges are made one by one, squashed or not, or as a batch that is checked out before the target moves.
"""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.names import EpicName, RunName
from tests.support.repositories import GIT_ENVIRONMENT, git, make_repository
from tests.support.seed import SEED
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.merges.branch_merge import BranchMerges, Conflict, MergeRequest
from worktree_svc.merges.conflict_forecast import ConflictForecaster, ForecastRequest
from worktree_svc.merges.open_merges import KnownResults, OpenMerges
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.ports import PortRange
from worktree_svc.storage.worktree_store import WorktreeStore

# Set HEDDLE_EXAMPLES=1000 for a long run, with HEDDLE_SEED for other histories.
EXAMPLES = int(os.environ.get("HEDDLE_EXAMPLES", "60"))

FILES = ("a", "b", "dir/c")
BASE = [f"base {number}" for number in range(6)]
BRANCHES = ("one", "two", "three")

Lines = set[tuple[str, str]]
Edit = tuple[str, int, int, int]

# One commit: the file, how many lines are removed where, and how many are added there.
edits = st.tuples(st.sampled_from(FILES), st.integers(0, 7), st.integers(0, 3), st.integers(0, 2))
histories = st.tuples(*[st.lists(edits, min_size=1, max_size=4) for _ in BRANCHES])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("property") / "project"
    return make_repository(folder, {name: "\n".join([*BASE, ""]) for name in FILES})


class History:
    """One epic's commits, and the state of each line."""

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


def commit_all(project: Path, edits_of_each: tuple[list[Edit], ...]) -> list[History]:
    """Makes each branch with a commit for each of its edits, without a checkout, and the target at main.

    All are one stream to fast-import.
    """
    stream: list[str] = []
    histories_of_all = []
    for name, edits_of_it in zip(BRANCHES, edits_of_each, strict=True):
        histories_of_all.append(history := History(name))
        stream += [f"reset refs/heads/{name}", "from refs/heads/main^0", ""]
        for edit in edits_of_it:
            history.apply(edit)
            stream += [f"commit refs/heads/{name}", "committer Ada <ada@example.com> now"]
            # Otherwise two epics with the same changes would share commits, which epics never do.
            stream += [f"data {len(name)}", name]
            for file, lines in history.content.items():
                text = "".join(f"{line}\n" for line in lines)
                stream += [f"M 100644 inline {file}", f"data {len(text)}", text]
    stream += ["reset refs/heads/target", "from refs/heads/main^0", "", "done", ""]
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force", "--done", "--date-format=now"],
        cwd=project,
        env={**os.environ, **GIT_ENVIRONMENT},
        input="\n".join(stream).encode(),
        check=True,
        capture_output=True,
    )
    return histories_of_all


def content(project: Path, branch: str) -> Lines:
    """Returns all lines of a branch, each with its file; one git reads all files."""
    # Every file's last line ends with a newline, and `grep` names the file of every line.
    found = git(project, "grep", "--null", "--no-color", "--full-name", "", branch, "--")
    pairs = (line.removeprefix(f"{branch}:").split("\0") for line in found.splitlines())
    return {(file, line) for file, line in pairs}


def land_one_by_one(project: Path, squash: bool) -> dict[str, list[str]]:
    """Merges each branch separately; returns the conflicting ones with their files."""
    folders = PrivateFolders(project.parent / "repositories")
    merges = BranchMerges(folders, lambda _: None)
    conflicts = {}
    before = git(project, "rev-parse", "target")
    for name in BRANCHES:
        request = MergeRequest(name, "target", "", "", EpicName("r1", name), squash=squash)
        result = merges.merge(str(project), 1, request)
        after = git(project, "rev-parse", "target")
        if isinstance(result, Conflict):
            conflicts[name] = result.files
            assert after == before
        else:
            assert after == result.commit
        before = after
    return conflicts


def land_as_batches(project: Path, squash: bool) -> dict[str, list[str]]:
    """Merges all as one batch and moves the target; repeats with branches left out while any can be merged."""
    folders = PrivateFolders(project.parent / "repositories")
    states = WorktreeStore(project.parent / "merges")
    leases = Leases(PortRange(20_000, 20_100), 0)
    open_merges = OpenMerges(
        states,
        folders,
        RepositoryLocks(),
        leases,
        min_free_bytes=0,
        free_bytes=lambda _: 1,
        check_epoch=lambda _: None,
    )
    waiting = list(BRANCHES)
    while True:
        requests = [
            MergeRequest(name, "target", "", "", EpicName("r1", name), squash=squash) for name in waiting
        ]
        before = git(project, "rev-parse", "target")
        opened = open_merges.open(
            str(project), 1, RunName("r1"), requests, KnownResults([], []), file=pb.ProjectFile()
        )
        assert git(project, "rev-parse", "target") == before
        if opened.path:
            laid_out = {
                (file, line) for file in FILES for line in Path(opened.path, file).read_text().splitlines()
            }
            assert laid_out == content(project, opened.commit)
        move = ("target", opened.target, opened.commit) if opened.parts else None
        assert open_merges.close(str(project), 1, RunName("r1"), move) == bool(move)
        waiting = list(opened.conflicts)
        if not waiting or not opened.parts:
            return {name: found.files for name, found in opened.conflicts.items()}


@pytest.mark.timeout(120 + 4 * EXAMPLES)
@seed(SEED)
@settings(max_examples=EXAMPLES, derandomize=False)
@given(histories=histories, squash=st.booleans(), batch=st.booleans())
def test_an_accepted_line_is_merged_or_conflicted(
    project: Path, histories: tuple[list[Edit], ...], *, squash: bool, batch: bool
) -> None:
    """Lines that an epic added and none removed are in the target, or the conflict was predicted and named."""
    note(f"HEDDLE_SEED={SEED}")
    sides = commit_all(project, histories)
    forecaster = ConflictForecaster(PrivateFolders(project.parent / "repositories"))
    pairs = forecaster.predict(str(project), ForecastRequest(BRANCHES, "main", {})).pairs
    foreseen = {frozenset((pair.name, pair.other)): set(pair.files) for pair in pairs}
    conflicts = (land_as_batches if batch else land_one_by_one)(project, squash)
    merged = [side for side in sides if side.name not in conflicts]
    expected = {(file, line) for file in FILES for line in BASE}
    for side in merged:
        expected |= side.added
    for side in merged:
        expected -= side.removed
    assert content(project, "target") == expected
    for name, files in conflicts.items():
        explained = [foreseen.get(frozenset((name, side.name)), set()) for side in merged]
        assert set(files) <= set().union(*explained)
    for pair in foreseen:
        assert pair & conflicts.keys(), pair
