"""Which worker is the place of an epic, and when an epic moves."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from scheduler_svc.policy.actions import MoveRun, NoteEpicWait, NoteWait, ParkAttempt, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.places import Places
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, WorkerView
from scheduler_svc.policy.waiting import waiting
from tests.support.scheduling import RUN, a_run, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
ACCEPTED = pb.TASK_STATE_ACCEPTED


def moving(key: str, *states: "pb.TaskState.ValueType", worker: str = "", **changes: Any) -> EpicView:
    return an_epic(key, *states, moves=True, worker=worker, **changes)


def placed(*epics: EpicView, **changes: Any) -> RunView:
    """Returns a run whose home is w1."""
    return a_run(*epics, **({"placed": True, "worker": "w1"} | changes))


def workers(*slots: int, **changes: Any) -> tuple[WorkerView, ...]:
    """Returns w1, w2, … with these slots."""
    return tuple(replace(WorkerView(f"w{n}", count), **changes) for n, count in enumerate(slots, 1))


def starts(run: RunView, fleet: tuple[WorkerView, ...], lost: str = "") -> dict[str, tuple[str, str]]:
    """Returns the worker of each epic that starts a task, and why the epic leaves its earlier place."""
    actions = decide(Snapshot((run,), fleet, lost=frozenset(lost.split())))
    return {each.attempt.epic: (each.worker, each.left) for each in actions if isinstance(each, StartTask)}


def test_epics_use_the_whole_fleet() -> None:
    """Each epic goes to the worker with the most free slots; where as many are free, to the run's own worker."""
    run = placed(*(moving(key, PENDING) for key in "abcd"))
    assert starts(run, workers(1, 2, 1)) == {
        "a": ("w2", ""),
        "b": ("w1", ""),
        "c": ("w2", ""),
        "d": ("w3", ""),
    }


def test_sessions_take_the_slots_of_the_places_of_their_epics() -> None:
    """A session counts where its epic is; one of an epic that does not move, where its run is."""
    run = placed(
        moving("a", RUNNING, worker="w2"),
        an_epic("home", RUNNING),
        moving("b", PENDING),
        moving("c", PENDING),
    )
    assert starts(run, workers(2, 2)) == {"b": ("w1", ""), "c": ("w2", "")}


def test_an_epic_keeps_its_place() -> None:
    """An epic with a place continues there, even if another worker has more free slots."""
    assert starts(placed(moving("a", ACCEPTED, PENDING, worker="w2")), workers(5, 1)) == {"a": ("w2", "")}


FULL = moving("full", RUNNING, worker="w2")
TRIED = replace(moving("a", worker="w2"), tasks=(a_task("t1", attempts=1),))
ANSWERED = replace(moving("a", worker="w2"), tasks=(a_task("t1", attempts=1, resumes=True),))
FRESH = moving("a", ACCEPTED, PENDING, worker="w2")


@pytest.mark.parametrize(
    ("epic", "second", "lost", "expected"),
    [
        # Its place has no slot: only a task that nothing was done for goes elsewhere.
        (FRESH, {}, "", ("w1", "w2 had no free slot")),
        (TRIED, {}, "", None),
        (ANSWERED, {}, "", None),
        # Nothing starts there: only a session that can be resumed waits.
        (FRESH, {"draining": True}, "", ("w1", "w2 was drained")),
        (TRIED, {"draining": True}, "", ("w1", "w2 was drained")),
        (TRIED, {"full": True}, "", ("w1", "w2 was full")),
        (ANSWERED, {"draining": True}, "", None),
        # It cannot be reached: sessions may still run there until its lease has expired.
        (FRESH, {"connected": False}, "", None),
        (ANSWERED, {"connected": False}, "w2", ("w1", "w2 was lost (no retry used)")),
    ],
)
def test_an_epic_moves_only_for_a_reason(
    epic: EpicView, second: dict[str, Any], lost: str, expected: tuple[str, str] | None
) -> None:
    """An epic leaves a place that is lost, drained or full, or whose slots are taken if its next task has not been tried."""
    fleet = (WorkerView("w1", 1), replace(WorkerView("w2", 1), **second))
    assert starts(placed(FULL, epic), fleet, lost).get("a") == expected


def test_a_place_that_the_fleet_no_longer_has_is_left_after_its_lease() -> None:
    """A worker that was removed counts as unreachable until its lease has expired."""
    run = placed(moving("a", PENDING, worker="gone"))
    assert starts(run, workers(1)) == {}
    assert starts(run, workers(1), lost="gone") == {"a": ("w1", "gone was lost (no retry used)")}


def test_an_epic_that_does_not_move_is_where_its_run_is() -> None:
    """Epics of projects by path, and those that started without a place, never start elsewhere, and block no others."""
    path = a_run(an_epic("a", PENDING), an_epic("b", PENDING), worker="w1")
    assert starts(path, workers(1, 5)) == {"a": ("", "")}
    mixed = placed(an_epic("a", PENDING, priority=1), an_epic("b", PENDING), moving("c", PENDING))
    assert starts(mixed, workers(1, 5)) == {"a": ("", ""), "c": ("w2", "")}


GPU = frozenset({("gpu", "true")})


@pytest.mark.parametrize(
    ("epic", "expected"),
    [
        (moving("a", PENDING, labels=GPU), ("w3", "")),
        (moving("a", PENDING, labels=GPU, worker="w1"), ("w3", "w1 did not have what it needs")),
        (replace(moving("a"), tasks=(a_task("t1", agents=("codex",)),)), ("w2", "")),
        (replace(moving("a"), tasks=(a_task("t1", agents=("claude", "command:")),)), ("w1", "")),
        (replace(moving("a"), labels=GPU, tasks=(a_task("t1", agents=("codex",)),)), None),
    ],
)
def test_a_place_has_the_labels_and_the_agents_that_an_epic_needs(
    epic: EpicView, expected: tuple[str, str] | None
) -> None:
    """Only workers with the labels of the epic, and with the agents of its next task and its reviews, can be its place."""
    fleet = (
        WorkerView("w1", 9, agents=frozenset({"claude", "command:"})),
        WorkerView("w2", 1, agents=frozenset({"claude", "codex"})),
        WorkerView("w3", 1, agents=frozenset({"claude"}), labels=GPU | {("zone", "eu")}),
    )
    assert starts(placed(epic), fleet).get("a") == expected


def test_a_run_and_its_epic_say_that_no_worker_offers_what_it_needs() -> None:
    """The labels and agents that no worker has are named, on the epic also while other epics of the run work."""
    epic = replace(moving("a"), labels=GPU, tasks=(a_task("t1", agents=("codex",)),))
    fleet = (WorkerView("w1", 1, agents=frozenset({"claude"})),)
    reason = "waiting for a place: no worker offers agent 'codex', the labels gpu=true"
    told = NoteEpicWait(epic.name, reason)
    assert decide(Snapshot((placed(epic),), fleet)) == [NoteWait(RUN, reason), told]
    # Another epic works, and one waits for its slot.
    both = placed(epic, moving("b", RUNNING, worker="w1"), moving("c", PENDING, worker="w1"))
    assert decide(Snapshot((both,), fleet)) == [told]
    known = replace(both, epics=(replace(both.epics[0], waits_for=reason), *both.epics[1:]))
    assert decide(Snapshot((known,), fleet)) == []
    # It waits for the operator instead, or a worker offers it.
    paused = replace(known, state=pb.RUN_STATE_PAUSED)
    assert decide(Snapshot((paused,), fleet)) == [NoteEpicWait(epic.name, "")]
    full = replace(known, max_parallel=1)
    able = WorkerView("w2", 0, labels=GPU, agents=frozenset({"codex"}))
    assert decide(Snapshot((full,), (*fleet, able))) == [NoteEpicWait(epic.name, "")]


def asking(key: str, worker: str, since: int) -> EpicView:
    epic = moving(key, pb.TASK_STATE_WAITING, worker=worker)
    return replace(epic, tasks=(replace(epic.tasks[0], asked_at=since, parkable=True),))


def test_a_session_is_parked_where_the_epic_can_start() -> None:
    """An epic that stays at its place gets the slot of a session there, and another one any slot."""
    run = placed(asking("x", "w1", 1), asking("y", "w2", 2), TRIED)
    parked = [each for each in decide(Snapshot((run,), workers(1, 1))) if isinstance(each, ParkAttempt)]
    assert [each.attempt.epic for each in parked] == ["y"]
    run = placed(asking("x", "w1", 1), asking("y", "w2", 2), moving("a", PENDING))
    parked = [each for each in decide(Snapshot((run,), workers(1, 1))) if isinstance(each, ParkAttempt)]
    assert [each.attempt.epic for each in parked] == ["x"]


@pytest.mark.parametrize(
    ("run", "fleet", "lost", "expected"),
    [
        (
            placed(moving("a", PENDING)),
            workers(0, 0),
            "",
            "waiting for a place: 0/2 workers have a free slot",
        ),
        # Another of its epics works, or has its place: nothing to tell.
        (placed(moving("a", PENDING), moving("b", RUNNING, worker="w1")), workers(1), "", ""),
        (
            placed(moving("a", RUNNING, worker="gone")),
            workers(1),
            "",
            "worker gone is no longer in the fleet; when its lease expires, its epics continue on other workers",
        ),
        (
            placed(moving("a", RUNNING, worker="w1"), state=pb.RUN_STATE_CANCELLING),
            workers(1, connected=False),
            "",
            "worker w1 cannot be reached; its sessions end by themselves when its lease expires, and then the run ends",
        ),
        (
            placed(an_epic("a", PENDING, state=pb.EPIC_STATE_RUNNING)),
            workers(1, connected=False),
            "",
            "worker w1 cannot be reached; epics that started before they could move continue once it is back",
        ),
        (
            placed(moving("a", ACCEPTED, worker="w2", state=pb.EPIC_STATE_RUNNING)),
            (WorkerView("w1", 1, connected=False), WorkerView("w2", 1)),
            "",
            "worker w1 cannot be reached; the run's merges continue once it is back",
        ),
    ],
)
def test_a_run_says_what_it_waits_for(
    run: RunView, fleet: tuple[WorkerView, ...], lost: str, expected: str
) -> None:
    """A run that has no place, whose places cannot be reached, or whose merges wait, says so."""
    notes = decide(Snapshot((run,), fleet, lost=frozenset(lost.split())))
    assert [each for each in notes if isinstance(each, NoteWait)] == (
        [NoteWait(RUN, expected)] if expected else []
    )


def test_metrics_count_an_epic_that_waits_for_its_place() -> None:
    """An epic waits for its worker while that takes no work; one without a place, while no worker does."""
    fleet = (WorkerView("w1", 1, connected=False), WorkerView("w2", 0))
    run = placed(moving("a", PENDING, worker="w1"), moving("b", PENDING), moving("c", PENDING, worker="w2"))
    found = waiting(Snapshot((run,), fleet))
    assert (found["worker"], found["slot"]) == (1, 2)


def test_slots_that_come_back_are_found() -> None:
    """The worker with the most free slots is known after any number of changes."""
    found = Places(workers(2, 3, 1), frozenset())
    run, epic = placed(moving("a", PENDING)), moving("a", PENDING)
    chosen = []
    for _ in range(7):
        worker = found.choose(run, epic, epic.tasks[0])
        chosen.append(worker)
        if worker:
            found.occupy(worker)
    assert chosen == ["w2", "w1", "w2", "w1", "w2", "w3", None]
    for worker in ("w3", "w2", "w2"):
        found.vacate(worker)
    assert [found.choose(run, epic, epic.tasks[0]), found.free("w3"), found.free("w1")] == ["w2", 1, 0]


@pytest.mark.parametrize(
    ("run", "lost", "expected"),
    [
        (placed(moving("a", RUNNING, worker="w2")), "w1", "w3"),
        (placed(moving("a", RUNNING, worker="w2")), "", None),
        # Its commits need not be at the remote.
        (placed(moving("a", RUNNING, worker="w2"), an_epic("b", ACCEPTED)), "w1", None),
        (a_run(an_epic("a", PENDING), worker="w1"), "w1", None),
    ],
)
def test_a_run_whose_worker_was_lost_gets_another_one(run: RunView, lost: str, expected: str | None) -> None:
    """The largest worker that takes work merges the epics from then on, if all of them can be anywhere."""
    fleet = (
        WorkerView("w1", 9, connected=False),
        WorkerView("w2", 1),
        WorkerView("w3", 2),
        WorkerView("w4", 9, draining=True),
    )
    moves = [
        each
        for each in decide(Snapshot((run,), fleet, lost=frozenset(lost.split())))
        if isinstance(each, MoveRun)
    ]
    assert moves == ([MoveRun(RUN, expected)] if expected else [])
