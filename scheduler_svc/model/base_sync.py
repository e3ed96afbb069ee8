"""When an epic takes in new commits of the project's branch, and which branch that is. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from heddle import pb
from heddle.plan.rules import SCRIPTED

# The operator wants them at the next attempt.
WANTED: Final = (pb.SYNC_STATE_REQUESTED, pb.SYNC_STATE_RESOLVING)


class RunColumns(Protocol):
    """The columns of a run that determine its branch."""

    base_ref: str
    base_commit: str
    base_branch: str
    merge_into: str


def branch_of(run: RunColumns) -> str:
    """Returns the project's branch that the epics of a run take in; empty if there is none."""
    return run.merge_into or run.base_branch


def is_due(state: int, epic: pb.PlanEpic) -> bool:
    """Returns whether an epic takes in its branch before its next attempt; `epic` has all defaults."""
    planned = state == pb.SYNC_STATE_UNSPECIFIED and epic.sync == pb.SYNC_POLICY_BETWEEN_TASKS
    return planned or state in WANTED


def resolves(state: int, epic: pb.PlanEpic, agent: str) -> bool:
    """Returns whether the agent of the next attempt resolves a conflict of what its epic takes in."""
    # The scripted agent cannot resolve conflicts.
    asked = state == pb.SYNC_STATE_RESOLVING or epic.on_conflict == pb.ON_CONFLICT_AGENT
    return asked and agent != SCRIPTED


def base_branch(run: RunColumns, sync: bytes | None) -> pb.BaseBranch:
    """Returns the branch to take in, with the commit of it that the epic builds on; `sync` is its pb.EpicSync."""
    branch = branch_of(run)
    known = pb.EpicSync.FromString(sync or b"")
    if known.branch == branch and known.commit:
        return pb.BaseBranch(branch=branch, known_commit=known.commit)
    # A run that continues another one starts from that run's result, not from the branch.
    starts_there = branch == run.base_branch and not run.base_ref.startswith("heddle/")
    return pb.BaseBranch(branch=branch, known_commit=run.base_commit if starts_there else "")


def conflict_of(reason: str) -> str:
    """Returns what conflicts, without what to do, from the reason of a conflict that holds an epic."""
    return reason.partition(". To merge")[0]


def state_of(branch: str, commit: str, counts: Mapping[str, int]) -> pb.BaseState:
    """Returns how far epics are behind; `counts` has the number of missing commits by epic, in plan order."""
    behind = [pb.EpicBehind(epic=key, commit_count=count) for key, count in counts.items() if count]
    return pb.BaseState(branch=branch, commit=commit, behind=behind)


def without(state: pb.BaseState, epics: Iterable[str]) -> pb.BaseState:
    """Returns the state after these epics took the branch in."""
    left_out = set(epics)
    behind = [each for each in state.behind if each.epic not in left_out]
    return pb.BaseState(branch=state.branch, commit=state.commit, behind=behind)
