"""The free slots of the workers, and what an epic without a place waits for."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy.places import Places
from scheduler_svc.policy.snapshot import EpicView, PodsView, WorkerView
from tests.support.scheduling import RUN, a_task, an_epic
from tests.unit.scheduler.test_epic_places import ACCEPTED, GPU, PENDING, moving, placed, starts, workers


def test_a_slot_that_comes_back_before_the_first_choice_counts() -> None:
    """The free slots are counted whether or not one was chosen before."""
    found = Places(workers(0, 0), frozenset())
    found.vacate("w2")
    epic = moving("a", PENDING)
    assert found.choose(placed(epic), epic, epic.tasks[0]) == "w2"


def test_the_best_of_the_workers_that_fit_is_chosen() -> None:
    """If the worker with the most free slots does not fit, the one with the most of those that do is the place."""
    fleet = (*workers(9), *(WorkerView(f"g{n}", n, labels=GPU) for n in (1, 3, 2)))
    assert starts(placed(moving("a", PENDING, labels=GPU)), fleet) == {"a": ("g3", "")}


def test_started_candidates_keep_the_place_of_the_rest() -> None:
    """A candidate waits for a slot at the epic's place once another one has started there."""
    lanes = (a_task("t1-1", ACCEPTED), a_task("t1-2"))
    task = a_task("t1", pb.TASK_STATE_RUNNING, live_attempt=None, candidates=2)
    for started, expected in ((True, None), (False, "w1")):
        first = lanes[0] if started else replace(lanes[0], attempts=0)
        epic = replace(moving("a", worker="w2"), tasks=(replace(task, lanes=(first, lanes[1])),))
        found = Places(workers(1, 0), frozenset())
        assert found.choose(placed(epic), epic, lanes[1]) == expected
        assert found.may_use(placed(epic), epic, lanes[1], "w1") == (not started)


POD = WorkerView("pod-a", 1, epic=RUN.epic("a"))


@pytest.mark.parametrize(
    ("epic", "pods", "allowed"),
    [
        # At the home of its run only, and nowhere if that takes no sessions.
        (an_epic("a", PENDING), None, {"w1"}),
        (an_epic("a", PENDING), PodsView(), {"w1"}),
        # Made for it, also while it has no free slot.
        (moving("a", PENDING), PodsView(), {"pod-a"}),
        (moving("a", PENDING, worker="pod-a"), PodsView(), {"pod-a"}),
        # On a worker of the fleet it stays on the fleet.
        (moving("a", PENDING, worker="w1"), PodsView(), {"w1", "w2"}),
        (moving("b", PENDING), PodsView(), set()),
    ],
)
def test_where_an_epic_may_go_if_there_were_a_slot(
    epic: EpicView, pods: PodsView | None, allowed: set[str]
) -> None:
    """An epic that moves may use the worker that a pool made for it, or all of the fleet; another one only its home."""
    fleet = (*workers(1, 1), replace(WorkerView("w3", 1), draining=True), POD)
    run, found = placed(epic), Places(fleet, frozenset(), pods)
    for name in ("w1", "w2", "pod-a"):
        found.occupy(name)
    every = [each.name for each in fleet]
    assert {name for name in every if found.may_use(run, epic, epic.tasks[0], name)} == allowed
    assert not found.may_use(replace(run, worker="w3"), an_epic("a", PENDING), epic.tasks[0], "w3")
    assert [found.free(name) for name in every] == [0, 0, 0, 0]
    assert found.choose(run, epic, epic.tasks[0]) is None


def test_an_epic_stays_with_the_pod_that_was_made_for_it() -> None:
    """It waits for the slot there even if workers of the fleet have free ones."""
    epic = moving("a", PENDING, worker="pod-a")
    found = Places((*workers(5), POD), frozenset(), PodsView())
    assert found.choose(placed(epic), epic, epic.tasks[0]) == "pod-a"
    found.occupy("pod-a")
    assert found.choose(placed(epic), epic, epic.tasks[0]) is None
    found.vacate("pod-a")
    assert found.choose(placed(epic), epic, epic.tasks[0]) == "pod-a"


def wanting(key: str, labels: frozenset[tuple[str, str]] = frozenset(), *agents: str) -> EpicView:
    return replace(moving(key, labels=labels), tasks=(a_task("t1", epic=key, agents=agents),))


EU = frozenset({("zone", "eu")})
OFFERS = (
    WorkerView("w1", 0, labels=GPU, agents=frozenset({"claude"})),
    WorkerView("w2", 0, labels=EU, agents=frozenset({"codex"})),
)


@pytest.mark.parametrize(
    ("epics", "expected"),
    [
        # One worker offers it, the other does not.
        ([wanting("a", GPU, "claude")], "0/1 workers have a free slot"),
        ([wanting("a"), wanting("b", EU)], "0/2 workers have a free slot"),
        ([wanting("a", GPU), wanting("b", GPU | EU)], "0/1 workers have a free slot"),
        # Only what no worker offers is named.
        ([wanting("a", GPU, "goose")], "no worker offers agent 'goose'"),
        ([wanting("a", GPU | EU, "codex")], "no worker offers the labels gpu=true, zone=eu"),
        # Each is offered, but not by the same worker.
        ([wanting("a", GPU, "codex")], "no worker offers agent 'codex', the labels gpu=true"),
    ],
)
def test_a_wait_names_what_no_worker_offers(epics: list[EpicView], expected: str) -> None:
    """The workers that could take one of the epics are counted; if there are none, what is missing is named."""
    found = Places(OFFERS, frozenset())
    assert found.wait(placed(*epics), epics) == f"waiting for a place: {expected}"


def test_places_of_a_pool_are_waited_for_with_its_first_reason() -> None:
    """All epics that wait are counted, and the first one's reason is told; none is told before the pool answers."""
    epics = [moving(key, PENDING) for key in "abc"]
    waits = {epics[1].name: "no node", epics[2].name: "no image"}
    found = Places((), frozenset(), PodsView(waits=waits))
    assert found.wait(placed(*epics), epics) == "waiting for 2 places: no node"
    assert found.wait(placed(*epics), epics[:1]) == ""


@pytest.mark.parametrize(
    ("epic", "fleet", "pods", "lacking"),
    [
        (wanting("a", GPU), workers(1), None, True),
        (wanting("a"), workers(1), None, False),
        # No task could start, no worker takes sessions, or the pool makes its place.
        (moving("a", ACCEPTED, labels=GPU), workers(1), None, False),
        (wanting("a", GPU), (), None, False),
        (wanting("a", GPU), workers(1), PodsView(), False),
        # It waits at the place that it has, until that is lost.
        (replace(wanting("a", GPU), worker="gone"), workers(1), None, False),
    ],
)
def test_an_epic_lacks_a_place_only_if_all_workers_miss_something(
    epic: EpicView, fleet: tuple[WorkerView, ...], pods: PodsView | None, lacking: bool
) -> None:
    """The reason is empty for an epic that waits for a slot, for its own worker, or for the pool."""
    reason = "waiting for a place: no worker offers the labels gpu=true" if lacking else ""
    assert Places(fleet, frozenset(), pods).lacks(epic) == reason
