"""Every kind of action that the policy can decide is written, and what it declares is begun."""

from typing import Any, get_args

import pytest

from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.commands.apply_action import EFFECTS
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
    """Stands for the background tasks: notes which is begun, and about what."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda about, *_: self.begun.append((name, str(about)))


def test_every_kind_has_an_effect() -> None:
    """The kinds of the policy and the effects are the same set."""
    assert set(EFFECTS) == set(get_args(Action))


def test_every_follow_up_can_be_begun() -> None:
    """What an action can declare, the leader knows how to begin."""
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
    """A session is driven, stopped or parked, and branches are merged; the rest is over once it is written."""
    tasks: Any = Recorder()
    _follow_ups(tasks)[action.follow_up](action, None)
    assert tasks.begun == begun


def test_topics() -> None:
    """Watchers of the run look again; the leader only where more can be decided at once."""
    assert _topics([StartTask(ATTEMPT)]) == {"runs/r"}
    assert _topics([StartTask(ATTEMPT), ReadyEpic(EPIC)]) == {"runs/r", LOOP}
    assert _topics([ParkAttempt(ATTEMPT)]) == set()
