"""How a leader asks the pool for the places of epics, and releases them."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.leader.epic_places import EpicPlaces, PlaceWait
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot
from scheduler_svc.pools.pool import Answer, Gone, PlaceKey, PlaceSpec, Pool, Waiting
from tests.support.scheduling import a_run, a_snapshot, an_epic

PENDING, RUNNING = pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING
A = EpicName("r", "a")
ASKED = "the place has been asked for"


class FakePool:
    """Answers as told, and records what it is asked."""

    def __init__(self) -> None:
        self.answer: Answer = Waiting(ASKED)
        self.asked: list[PlaceSpec] = []
        self.released: list[PlaceKey] = []
        self.kept: list[tuple[set[PlaceKey], float]] = []

    async def ensure(self, spec: PlaceSpec) -> Answer:
        self.asked.append(spec)
        return self.answer

    async def release(self, key: PlaceKey) -> None:
        self.released.append(key)

    async def release_others(self, keys: Collection[PlaceKey], keep: float) -> None:
        self.kept.append((set(keys), keep))

    def key_of(self, worker: str, run: str, epic: str) -> PlaceKey | None:
        _, _, generation = worker.partition("-")
        return PlaceKey(run, epic, int(generation)) if generation else None


class FakeTerm:
    """Records writes and lost workers."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.lost: list[str] = []
        self.reads = 0
        self.workers = SimpleNamespace(is_lost=self.lost.__contains__, lose=self.lost.append)

    async def write(self, name: str, work: Any) -> None:
        self.writes.append((name, work.keywords))

    async def read(self, work: Callable[..., object]) -> frozenset[str]:
        self.reads += 1
        return frozenset({"claude"})


class Places:
    """The places of a term, with what they were told and what they told."""

    def __init__(self) -> None:
        self.pool, self.term, self.changes = FakePool(), FakeTerm(), 0
        self.of = EpicPlaces(cast("Term", self.term), cast("Pool", self.pool), 30.0, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def see(self, *epics: EpicView, **changes: Any) -> None:
        run: RunView = replace(a_run(*epics), placed=True, **changes)
        snapshot: Snapshot = a_snapshot(run)
        self.of.observe(snapshot)

    def waits(self) -> dict[EpicName, str]:
        return dict(self.of.view().waits)

    async def keep_up(self) -> None:
        await self.of.keep_up()


def waiting(**changes: Any) -> EpicView:
    return replace(an_epic("a", PENDING), moves=True, generation=3, **changes)


@pytest.fixture
async def places() -> Places:
    """Places where epic a, in generation 3, has asked for the next one."""
    found = Places()
    found.see(waiting(labels=frozenset({("gpu", "true")})))
    found.of.ask(A)
    return found


async def test_the_next_generation_is_asked_for(places: Places) -> None:
    """The pool is asked until it has the place, and keeps all that are needed; a new reason changes a decision."""
    assert places.waits() == {A: ASKED}
    await places.keep_up()
    assert [(each.key, dict(each.labels), each.placed) for each in places.pool.asked] == [
        (PlaceKey("r", "a", 4), {"gpu": "true"}, False)
    ]
    assert places.pool.kept == [({PlaceKey("r", "a", 4)}, 30.0)]
    assert places.changes == 0
    places.pool.answer = Waiting("no node")
    await places.keep_up()
    places.of.ask(A)
    await places.keep_up()
    assert (places.waits(), places.changes, places.term.reads) == ({A: "no node"}, 1, 1)


async def test_labels_that_change_are_asked_for(places: Places) -> None:
    """A plan may get other labels while its epic waits."""
    await places.keep_up()
    places.see(waiting(labels=frozenset({("gpu", "false")})))
    await places.keep_up()
    assert dict(places.pool.asked[-1].labels) == {"gpu": "false"}


@pytest.mark.parametrize("failed", [True, False])
async def test_a_place_that_cannot_be_made_is_given_up(failed: bool, places: Places) -> None:
    """The next try has another generation; a failure is reported once, a loss is not one."""
    places.pool.answer = Gone("no image", failed=failed)
    await places.keep_up()
    assert places.pool.released == [PlaceKey("r", "a", 4)]
    assert places.term.writes == [("skip_place", {"name": A, "generation": 4})]
    assert (places.changes, places.pool.kept[-1][0]) == (1, set())
    view = places.of.view()
    assert (dict(view.waits), dict(view.failures)) == ({}, {A: "no image"} if failed else {})
    assert dict(places.of.view().failures) == {}
    # How long the next place took is measured from when it is asked for; a lost one counts from the first time.
    assert (A in places.of._asked) is not failed


async def test_one_epic_of_several_changes_the_next_decision(places: Places) -> None:
    """A reason that changes for one epic is enough."""
    other = replace(an_epic("b", PENDING), moves=True)
    places.see(waiting(), other)
    places.of.ask(other.name)
    places.of._waits[A] = PlaceWait("no node", 0.0)
    places.pool.answer = Waiting("no node")
    await places.keep_up()
    assert places.changes == 1
    assert {spec.key for spec in places.pool.asked} == {PlaceKey("r", "a", 4), PlaceKey("r", "b", 1)}


def test_a_reason_that_keeps_changing_is_shown_now_and_then() -> None:
    """The first reason is shown at once, another kind after 5 seconds, and other numbers after a minute: each is an event."""
    asked = PlaceWait(ASKED, 100.0)
    full = asked.shown("0/3 nodes are available", 100.0)
    assert full == ("0/3 nodes are available", 100.0)
    # A cluster whose nodes change each second, and a pod that flaps, for two minutes.
    shown, pods = [full], [full]
    for second in range(1, 121):
        shown.append(shown[-1].shown(f"0/{second + 3} nodes are available", 100.0 + second))
        pods.append(pods[-1].shown(("it starts", "it waits")[second % 2], 100.0 + second))
    assert list(dict.fromkeys(shown)) == [
        full,
        ("0/63 nodes are available", 160.0),
        ("0/123 nodes are available", 220.0),
    ]
    assert len(set(pods)) <= 1 + 120 // 5
    # The last reason is not lost: the pool is asked again each second.
    assert pods[-1].shown("it runs", pods[-1].since + 5).reason == "it runs"


@pytest.mark.parametrize(
    ("epic", "run"),
    [
        (replace(an_epic("a", RUNNING), moves=True, worker="pod-4", generation=4), {}),
        (waiting(state=pb.EPIC_STATE_CANCELLED), {}),
        (waiting(), {"state": pb.RUN_STATE_PAUSED}),
    ],
    ids=["starts there", "has ended", "is paused"],
)
async def test_an_epic_that_no_longer_waits_asks_no_more(
    epic: EpicView, run: dict[str, Any], places: Places
) -> None:
    """Its place is kept where it works, and released otherwise."""
    places.see(epic, **run)
    assert places.waits() == {}
    await places.keep_up()
    placed = [PlaceSpec(PlaceKey("r", "a", 4), placed=True)] if epic.worker else []
    assert places.pool.asked == placed
    assert places.pool.kept == [({each.key for each in placed}, 30.0)]


async def test_a_lost_place_is_told_once(places: Places) -> None:
    """The worker of a place that is gone counts as lost, which changes the next decision."""
    places.see(replace(an_epic("a", RUNNING), moves=True, worker="pod-4", generation=4))
    places.pool.answer = Gone("evicted", failed=False)
    await asyncio.gather(places.keep_up())
    await places.keep_up()
    assert (places.term.lost, places.changes) == (["pod-4"], 1)
    assert places.pool.released == []
    assert places.term.writes == []
