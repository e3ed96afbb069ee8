"""Which epics ask a pool for places, and that they run nowhere else."""

from dataclasses import replace
from typing import Any

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.policy.actions import Action, AskPlace, FailTask, NoteEpicWait, NoteWait, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.snapshot import EpicView, PodsView, Snapshot, WorkerView
from tests.support.scheduling import a_run, a_snapshot, an_epic

PENDING, RUNNING = pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING


def moving(key: str, *states: Any, **fields: Any) -> EpicView:
    return replace(an_epic(key, *states), moves=True, **fields)


def decided(
    *epics: EpicView, pods: PodsView | None = None, workers: tuple[WorkerView, ...] = (), **run: Any
) -> list[Action]:
    snapshot = a_snapshot(a_run(*epics, placed=True, **run))
    return decide(with_pods(snapshot, pods or PodsView(), *workers))


def with_pods(snapshot: Snapshot, pods: PodsView, *workers: WorkerView) -> Snapshot:
    return replace(snapshot, pods=pods, workers=(*snapshot.workers, *workers))


def names(actions: list[Action], kind: type[Action]) -> list[str]:
    about = [
        getattr(each, "epic", None) or getattr(each, "attempt", None)
        for each in actions
        if isinstance(each, kind)
    ]
    return [each.epic for each in about if each]


def name(key: str) -> EpicName:
    return an_epic(key, PENDING).name


def test_epics_ask_for_places_as_far_as_the_run_is_wide() -> None:
    """Only as many places are asked for as sessions can run, the best epics first, and none is started on the home."""
    actions = decided(moving("a", PENDING), moving("b", PENDING), moving("c", PENDING), max_parallel=2)
    assert names(actions, AskPlace) == ["a", "b"]
    assert names(actions, StartTask) == []
    busy = decided(moving("a", RUNNING, worker="p"), moving("b", PENDING), max_parallel=1)
    assert names(busy, AskPlace) == []


def test_a_place_is_asked_for_once() -> None:
    """An epic that has asked waits with the pool's reason, and the decision does not repeat itself."""
    pods = PodsView(waits={name("a"): "no node of the cluster can take the pod"})
    actions = decided(moving("a", PENDING), moving("b", PENDING), pods=pods)
    assert names(actions, AskPlace) == ["b"]
    (note,) = [each for each in actions if isinstance(each, NoteWait)]
    assert note.reason == "waiting for 1 place: no node of the cluster can take the pod"
    # The epic says it by itself, also while others of its run work.
    actions = decided(moving("a", PENDING), moving("b", RUNNING, worker="p"), pods=pods)
    (told,) = [each for each in actions if isinstance(each, NoteEpicWait)]
    assert told == NoteEpicWait(name("a"), "waiting for a place: no node of the cluster can take the pod")


def test_an_epic_starts_on_the_worker_that_was_made_for_it() -> None:
    """A worker of the pool takes its own epic only, and only while it is connected."""
    made = WorkerView("pod-a", slots=1, epic=name("a"))
    actions = decided(moving("a", PENDING), moving("b", PENDING), workers=(made,))
    assert [(each.attempt.epic, each.worker) for each in actions if isinstance(each, StartTask)] == [
        ("a", "pod-a")
    ]
    assert names(actions, AskPlace) == ["b"]
    lost = decided(moving("a", PENDING, worker="pod-a"), workers=(replace(made, connected=False),))
    assert names(lost, StartTask) == names(lost, AskPlace) == []


def test_an_epic_whose_place_is_lost_asks_for_another_one() -> None:
    """Only once the place is lost: until then, sessions may still run there."""
    epic = moving("a", PENDING, worker="pod-a", generation=1)
    assert names(decided(epic), AskPlace) == []
    snapshot = replace(a_snapshot(a_run(epic, placed=True)), lost=frozenset({"pod-a"}), pods=PodsView())
    assert names(decide(snapshot), AskPlace) == ["a"]


def test_what_no_pool_can_make_fails_the_task() -> None:
    """The reason is that of the pool, and nothing is asked for again."""
    actions = decided(
        moving("a", PENDING), pods=PodsView(failures={name("a"): "the image x cannot be pulled"})
    )
    (failed,) = [each for each in actions if isinstance(each, FailTask)]
    assert failed.reason == "the image x cannot be pulled"
    assert names(actions, AskPlace) == []


def test_other_epics_need_no_place() -> None:
    """Epics of projects by path run at home, and so does an epic on a worker that is not of the pool."""
    assert names(decided(an_epic("a", PENDING)), StartTask) == ["a"]
    here = a_snapshot(a_run(an_epic("a", PENDING))).workers[0].name
    stays = decided(moving("a", PENDING, worker=here, generation=1))
    assert names(stays, StartTask) == ["a"]
    assert names(stays, AskPlace) == []
