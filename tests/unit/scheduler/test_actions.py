"""Every kind of action that the policy can decide is written, and its follow-up is started."""

from typing import Any, get_args

import pytest

from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.commands.decisions.apply_action import EFFECTS
from scheduler_svc.leader.loop import _follow_ups, _topics
from scheduler_svc.policy.actions import (
    Action,
    FollowUp,
    MergeEpic,
    MergeRun,
    ParkAttempt,
    ReadyEpic,
    StartTask,
    StopAttempt,
)
from scheduler_svc.store.db.doorbell import LOOP

ATTEMPT = AttemptName("r", "e", "t", 1)
EPIC = EpicName("r", "e")


class Recorder:
    """Replaces the background tasks and records which ones are started, with their arguments."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda about, *_: self.begun.append((name, str(about)))


def test_every_kind_has_an_effect() -> None:
    """The policy's kinds and the effects are the same set."""
    assert set(EFFECTS) == set(get_args(Action))


def test_every_follow_up_can_be_begun() -> None:
    """The leader can start every follow-up that an action can declare."""
    tasks: Any = Recorder()
    assert set(_follow_ups(tasks)) == set(FollowUp)


@pytest.mark.parametrize(
    ("action", "begun"),
    [
        (StartTask(ATTEMPT), [("drive", str(ATTEMPT))]),
        (StopAttempt(ATTEMPT, "enough"), [("stop", str(ATTEMPT))]),
        (ParkAttempt(ATTEMPT), [("park", str(ATTEMPT))]),
        (MergeEpic(EPIC), [("merge_epics", "runs/r")]),
        (MergeRun(RunName("r")), [("merge_run", "runs/r")]),
        (ReadyEpic(EPIC), []),
    ],
)
def test_follow_up(action: Action, begun: list[tuple[str, str]]) -> None:
    """A session is driven, stopped or parked, and branches are merged; other actions have no follow-up."""
    tasks: Any = Recorder()
    _follow_ups(tasks)[action.follow_up](action, None)
    assert tasks.begun == begun


def test_topics() -> None:
    """Watchers of the run are notified; the leader only if it may be able to decide more."""
    assert _topics([StartTask(ATTEMPT)]) == {"runs/r"}
    assert _topics([StartTask(ATTEMPT), ReadyEpic(EPIC)]) == {"runs/r", LOOP}
    assert _topics([ParkAttempt(ATTEMPT)]) == set()
