"""Which refs of an ended epic are removed from the remote."""

import pytest

from heddle.names import EpicName
from worktree_svc.projects.remote_refs import Proof, removable

EPIC = EpicName("r1", "api")

CLAIM, ACCEPTED, BRANCH = (
    "refs/heddle/claim/r1/api",
    "refs/heddle/accepted/r1/api",
    "refs/heads/heddle/r1/epics/api",
)
SUBMITTED, RESOLUTION = "refs/heddle/attempts/r1/api/one/1", "refs/heddle/resolutions/r1/api/abc"
MORE = {SUBMITTED: "s", RESOLUTION: "r"}


@pytest.mark.parametrize(
    ("at", "merged", "on_branch", "expected"),
    [
        pytest.param(
            {CLAIM: "c", ACCEPTED: "a", BRANCH: "a"},
            {"a"},
            {"a"},
            [SUBMITTED, RESOLUTION, BRANCH, CLAIM, ACCEPTED],
            id="merged",
        ),
        pytest.param(
            {CLAIM: "c", ACCEPTED: "a", BRANCH: "later"},
            {"a"},
            {"a"},
            [SUBMITTED, RESOLUTION, CLAIM, ACCEPTED],
            id="merged, but someone has added commits to its branch",
        ),
        pytest.param(
            {CLAIM: "c", ACCEPTED: "a", BRANCH: "a"},
            set(),
            {"a"},
            [CLAIM, ACCEPTED],
            id="not merged, and its branch has the work",
        ),
        pytest.param(
            {CLAIM: "c", ACCEPTED: "a"}, set(), set(), [], id="not merged, and the remote has no branch"
        ),
        pytest.param(
            {CLAIM: "c", ACCEPTED: "a", BRANCH: "b"}, {"b"}, set(), [], id="its branch has lost the work"
        ),
        pytest.param({CLAIM: "c"}, set(), set(), [CLAIM], id="nothing was accepted"),
        pytest.param(
            {BRANCH: "a"}, {"a"}, set(), [SUBMITTED, RESOLUTION, BRANCH], id="an interrupted removal"
        ),
        pytest.param({}, set(), set(), [], id="an epic without a place"),
    ],
)
def test_only_what_nothing_needs_is_removed(
    at: dict[str, str], merged: set[str], on_branch: set[str], expected: list[str]
) -> None:
    """A ref goes if its commit stays reachable at the remote; the accepted commit, which shows that, is the last one."""
    assert removable(MORE | at, EPIC, Proof(merged, on_branch)) == expected
