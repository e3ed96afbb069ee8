"""When an epic takes in the project's branch, and from which commit of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.model import base_sync

UNSPECIFIED = pb.SYNC_STATE_UNSPECIFIED
BETWEEN = pb.PlanEpic(sync=pb.SYNC_POLICY_BETWEEN_TASKS)
NEVER = pb.PlanEpic(sync=pb.SYNC_POLICY_OFF)


@pytest.mark.parametrize(
    ("state", "epic", "due"),
    [
        (UNSPECIFIED, BETWEEN, True),
        (UNSPECIFIED, NEVER, False),
        (UNSPECIFIED, pb.PlanEpic(), False),
        (pb.SYNC_STATE_REQUESTED, NEVER, True),
        (pb.SYNC_STATE_RESOLVING, NEVER, True),
        (pb.SYNC_STATE_HELD, BETWEEN, False),
    ],
)
def test_a_branch_is_taken_in_as_planned_or_wanted(state: int, epic: pb.PlanEpic, due: bool) -> None:
    """Between tasks if the plan says so, or once the operator wants it; not while the operator decides."""
    assert base_sync.is_due(state, epic) is due


@pytest.mark.parametrize(
    ("state", "on_conflict", "agent", "resolves"),
    [
        (UNSPECIFIED, pb.ON_CONFLICT_WAIT, "claude", False),
        (UNSPECIFIED, pb.ON_CONFLICT_AGENT, "claude", True),
        (UNSPECIFIED, pb.ON_CONFLICT_AGENT, "scripted", False),
        (pb.SYNC_STATE_REQUESTED, pb.ON_CONFLICT_WAIT, "claude", False),
        (pb.SYNC_STATE_RESOLVING, pb.ON_CONFLICT_WAIT, "claude", True),
        (pb.SYNC_STATE_RESOLVING, pb.ON_CONFLICT_WAIT, "scripted", False),
    ],
)
def test_an_agent_resolves_if_the_plan_or_the_operator_says_so(
    state: int, on_conflict: "pb.OnConflict.ValueType", agent: str, resolves: bool
) -> None:
    """The scripted agent never does."""
    assert base_sync.resolves(state, pb.PlanEpic(on_conflict=on_conflict), agent) is resolves


def a_run(**columns: str) -> Any:
    usual = {"base_ref": "", "base_commit": "c0", "base_branch": "main", "merge_into": ""}
    return SimpleNamespace(**(usual | columns))


def test_the_branch_is_that_into_which_the_run_is_merged() -> None:
    """Otherwise it is the branch from which the run started; a run from a commit has none."""
    assert base_sync.branch_of(a_run(merge_into="release")) == "release"
    assert base_sync.branch_of(a_run()) == "main"
    assert base_sync.branch_of(a_run(base_branch="")) == ""


@pytest.mark.parametrize(
    ("columns", "sync", "branch", "known"),
    [
        ({}, None, "main", "c0"),
        ({}, pb.EpicSync(branch="main", commit="c5"), "main", "c5"),
        # Of another branch, or without a commit: nothing is known of this one.
        ({}, pb.EpicSync(branch="old", commit="c5"), "main", "c0"),
        ({}, pb.EpicSync(branch="main"), "main", "c0"),
        ({"merge_into": "release"}, None, "release", ""),
        ({"merge_into": "main"}, None, "main", "c0"),
        ({"base_ref": "heddle/r0"}, None, "main", ""),
        ({"base_ref": "feature/heddle/x"}, None, "main", "c0"),
        ({"base_ref": "heddle/r0"}, pb.EpicSync(branch="main", commit="c5"), "main", "c5"),
    ],
)
def test_the_commit_that_an_epic_builds_on(
    columns: dict[str, str], sync: pb.EpicSync | None, branch: str, known: str
) -> None:
    """The newest commit of the branch that the epic took in, or the run's base if that is of the same branch."""
    stored = None if sync is None else sync.SerializeToString()
    found = base_sync.base_branch(a_run(**columns), stored)
    assert found == pb.BaseBranch(branch=branch, known_commit=known)


def test_what_conflicts_is_told_without_what_to_do() -> None:
    """The advice begins with "To merge"."""
    assert base_sync.conflict_of("a.txt conflicts. To merge it, x. To merge y") == "a.txt conflicts"
    assert base_sync.conflict_of("a.txt conflicts") == "a.txt conflicts"


def test_epics_that_are_behind() -> None:
    """Only epics that lack commits are behind, in plan order, until they took the branch in."""
    state = base_sync.state_of("main", "c7", {"b": 2, "a": 0, "c": 1})
    assert (state.branch, state.commit) == ("main", "c7")
    assert [(each.epic, each.commit_count) for each in state.behind] == [("b", 2), ("c", 1)]
    left = base_sync.without(state, iter(["b", "x"]))
    assert (left.branch, left.commit, [each.epic for each in left.behind]) == ("main", "c7", ["c"])
    assert len(state.behind) == 2
