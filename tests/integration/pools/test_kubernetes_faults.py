"""The pool while the API server of its cluster forgets, refuses, breaks off or is away."""

import asyncio

import pytest

from scheduler_svc.pools.kubernetes.names import pod_name
from scheduler_svc.pools.pool import Gone, Ready, Waiting
from tests.integration.pools.test_kubernetes import NAME, READY
from tests.support.pods import REAL, Bench, spec

pytestmark = pytest.mark.skipif(REAL, reason="a real API server cannot be made to fail")


async def test_a_cut_watch_continues(pods: Bench) -> None:
    """Changes while a watch was cut are seen: none is lost, and the pods are not listed again."""
    pool = await pods.pool()
    await pool.ensure(spec())
    lists = len(pods.kubernetes["list"])
    for phase in ("Pending", "Failed"):
        refusal = pods.kubernetes.refuse("watch", 0, "closed", times=2)
        await pods.kubernetes.cut_watches()
        await refusal.asked.wait()
        await pods.status(NAME, phase=phase, reason="Evicted", message=f"now {phase}")
    answer = await pods.ensured(pool, spec(), Gone)
    assert "now Failed" in answer.reason
    assert len(pods.kubernetes["list"]) == lists


async def test_a_watch_from_a_forgotten_version_begins_again(pods: Bench) -> None:
    """After 410, also in the middle of a watch, the pods are listed again: those that went meanwhile are gone."""
    pool = await pods.pool()
    for epic in ("search", "other"):
        await pool.ensure(spec(epic))
    refusal = pods.kubernetes.refuse("watch", 503, "starting", times=1)
    await pods.kubernetes.cut_watches()
    await refusal.asked.wait()
    await pods.remove(NAME)
    await pods.status("heddle-plan-abcde-other-1", **READY)
    await pods.kubernetes.forget()
    assert isinstance(await pods.ensured(pool, spec(), Gone), Gone)
    assert isinstance(await pods.ensured(pool, spec("other"), Ready), Ready)

    # A server may also answer the whole request with 410.
    pods.kubernetes.refuse("watch", 410, "too old resource version", reason="Expired")
    await pods.kubernetes.cut_watches()
    await pods.remove("heddle-plan-abcde-other-1")
    await pods.ensured(pool, spec("other"), Gone)


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (429, "too many requests", "the cluster does not answer: too many requests"),
        (500, "etcdserver: request timed out", "the cluster does not answer: etcdserver"),
        (0, "closed", "the cluster does not answer: the API server of the cluster cannot be reached"),
        (403, 'pods is forbidden: User "heddle" cannot create resource "pods"', 'refuses the pod: pods is forbidden: User "heddle"'),
        (403, "exceeded quota: agents", "the cluster has no room: exceeded quota: agents"),
        (422, "spec.containers[0].image: Required value", "the cluster refuses the pod: spec.containers[0].image"),
    ],
)  # fmt: skip
async def test_a_refused_pod_is_asked_for_again(pods: Bench, status: int, message: str, told: str) -> None:
    """The epic waits with the reason, the pool asks again after a pause by itself, and then the pod is there."""
    pool = await pods.pool()
    pods.kubernetes.refuse("create", status, message)
    answer = await pool.ensure(spec())
    assert isinstance(answer, Waiting)
    assert told in answer.reason
    assert await pods.names() == []

    async def is_created() -> bool:
        await pool.ensure(spec())
        return await pods.names() == [NAME]

    await pods.until(pool, is_created)


async def test_the_server_says_how_long_to_wait(pods: Bench) -> None:
    """Until the time of Retry-After is over, no other pod is asked for either."""
    pool = await pods.pool()
    pods.kubernetes.refuse("create", 429, "too many requests", retry_after=3600)
    first = await pool.ensure(spec())
    assert isinstance(first, Waiting)
    assert await pool.ensure(spec("other")) == first
    assert len(pods.kubernetes["create"]) == 1
    (hold,) = pool._holds.values()
    assert hold.until - asyncio.get_running_loop().time() > 3000


async def test_a_quota_with_room_is_used_at_once(pods: Bench) -> None:
    """A pod that goes away makes room: the next one is asked for without a pause."""
    pool = await pods.pool()
    await pool.ensure(spec())
    pods.kubernetes.refuse("create", 403, "exceeded quota: agents", retry_after=3600)
    assert isinstance(await pool.ensure(spec("other")), Waiting)
    await pool.release(spec().key)
    await pods.until(pool, lambda: pool.list() == [])
    await pool.ensure(spec("other"))
    assert await pods.names() == ["heddle-plan-abcde-other-1"]


async def test_many_epics_ask_for_as_many_pods(pods: Bench) -> None:
    """Each pod costs one call, and one list and one watch show all of them."""
    pool = await pods.pool()
    wanted = [spec(f"e{number}") for number in range(30)]
    await asyncio.gather(*map(pool.ensure, wanted))
    for each in wanted:
        await pods.kubernetes.status(pod_name(each.key), **READY)
    await pods.until(pool, lambda: len(pool.workers()) == 30)
    assert len(pods.kubernetes["create"]) == 30
    assert len(pods.kubernetes["list"]) == len(pods.kubernetes["watch"]) == 1
    assert len(pods.kubernetes["fetch"]) == 0
    await pool.release_others([])
    await pods.until(pool, lambda: pool.list() == [])
    assert len(pods.kubernetes["delete"]) == 30


async def test_a_deletion_is_tried_again(pods: Bench) -> None:
    """A released pod is deleted when the API server answers again."""
    pool = await pods.pool()
    await pool.ensure(spec())
    pods.kubernetes.refuse("delete", 500, "etcdserver: leader changed", times=2)
    await pool.release(spec().key)
    await pods.until(pool, lambda: pool.list() == [])
    assert await pods.names() == []


async def test_a_pod_that_is_created_during_a_list_is_not_lost(pods: Bench) -> None:
    """A list that was answered before a pod was created does not make that pod look deleted."""
    pool = await pods.pool()
    answers = asyncio.Event()
    listed = pool._api.list

    async def slow() -> object:
        found = await listed()
        answers.set()
        await created.wait()
        return found

    created = asyncio.Event()
    pool._api.list = slow  # type: ignore[assignment,method-assign]  # the race, made certain
    pods.kubernetes.refuse("watch", 410, "too old resource version", reason="Expired")
    await pods.kubernetes.cut_watches()
    await answers.wait()
    assert isinstance(await pool.ensure(spec()), Waiting)
    # Nothing else shows the pod.
    pods.kubernetes.refuse("watch", 503, "starting", times=3)
    listed_again = asyncio.Event()
    pool.on_change = listed_again.set
    created.set()
    await listed_again.wait()
    assert pool.list() == [spec().key]
    assert not pool.is_gone(spec().key)
    await pods.status(NAME, **READY)
    assert isinstance(await pods.ensured(pool, spec(), Ready | Gone), Ready)


async def test_a_cluster_that_is_away_at_the_start(pods: Bench) -> None:
    """Until the pods are known, nothing is created, and the reason says why."""
    pods.kubernetes.refuse(
        "list", 403, 'pods is forbidden: User "heddle" cannot list resource "pods"', times=3
    )
    pool = await pods.pool()
    assert len(pods.kubernetes["list"]) == 4
    assert isinstance(await pool.ensure(spec()), Waiting)
    assert await pods.names() == [NAME]
