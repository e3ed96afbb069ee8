"""The metrics of places."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.leader import loop
from scheduler_svc.leader.context import metrics
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.policy.snapshot import EpicView, Snapshot, WorkerView
from tests.support.scheduling import a_run, an_epic

PENDING, RUNNING = pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING


def moving(key: str, state: "pb.TaskState.ValueType", worker: str = "") -> EpicView:
    return replace(an_epic(key, state), moves=True, worker=worker)


def snapshot(*epics: EpicView, state: "pb.RunState.ValueType" = pb.RUN_STATE_RUNNING) -> Snapshot:
    return Snapshot((a_run(*epics, placed=True, state=state),), (WorkerView("w1", 1),))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_places_are_counted_when_they_change() -> None:
    """The first place of an epic and each move count, and not a task that starts where its epic is."""
    seen = snapshot(moving("a", PENDING), moving("b", PENDING, "w1"), moving("c", PENDING, "w1"))
    before = {event: value("heddle_places_total", event=event) for event in ("placed", "moved")}
    for key, worker in (("a", "w1"), ("b", "w2"), ("c", "w1")):
        loop._count_place(seen, StartTask(EpicName("r", key).task("t1").attempt(1), None, worker))
    # An epic of a project by path has no place.
    loop._count_place(seen, StartTask(EpicName("r", "a").task("t1").attempt(1)))
    after = {event: value("heddle_places_total", event=event) for event in before}
    assert after == {"placed": before["placed"] + 1, "moved": before["moved"] + 1}


def test_the_wait_for_a_place_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts from the first look at which only a worker or slot is missing until the task has started; a pause is no end."""
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("scheduler_svc.leader.context.metrics.time", clock)
    count, total = (f"heddle_place_wait_seconds_{kind}" for kind in ("count", "sum"))
    counted, waited = value(count), value(total)
    gauges = metrics.SnapshotGauges()
    steps = [
        snapshot(moving("a", PENDING), moving("b", PENDING)),
        snapshot(moving("a", PENDING), moving("b", PENDING), state=pb.RUN_STATE_PAUSED),
        snapshot(moving("a", PENDING), moving("b", PENDING)),
        snapshot(moving("a", RUNNING), moving("b", PENDING)),
    ]
    for step in steps:
        gauges.show(step, 0)
        now += 10
    assert (value(count) - counted, value(total) - waited) == (1, 10)
