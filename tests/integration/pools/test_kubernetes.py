"""The pool on Kubernetes: on a mock of its API in `make test`, on the cluster of KUBECONFIG in `make kubernetes`."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from scheduler_svc.pools.kubernetes.api import RefusedError
from scheduler_svc.pools.kubernetes.engine import KubernetesPool
from scheduler_svc.pools.pool import Gone, Ready, Waiting
from tests.support.pods import Bench, spec

NAME = "heddle-plan-abcde-search-1"
READY: dict[str, Any] = {
    "phase": "Running",
    "podIP": "10.1.2.3",
    "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
}


def container(**state: Any) -> dict[str, Any]:
    return {
        "name": "agent",
        "image": "heddle",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }


async def test_an_epic_gets_one_pod(pods: Bench) -> None:
    """Asked again, also by the next leader, the pool has the same pod, and its worker once the pod is ready."""
    pool, successor = await pods.pool(), await pods.pool()
    both = await asyncio.gather(*(pool.ensure(spec()) for _ in range(3)), successor.ensure(spec()))
    assert all(isinstance(answer, Waiting) for answer in both)
    assert await pods.names() == [NAME]
    assert (await pods.labels(NAME)).items() >= {
        "app.kubernetes.io/name": "heddle-worker",
        "heddle/run": "plan-abcde",
        "heddle/epic": "search",
        "heddle/generation": "1",
    }.items()

    await pods.status(NAME, **READY)
    for each in (pool, successor):
        answer = await pods.ensured(each, spec(), Ready)
        assert (answer.address.worktree, answer.address.agent) == ("10.1.2.3:7401", "10.1.2.3:7402")
        assert answer.address.name == NAME
        assert each.list() == [spec().key]


async def test_the_reason_of_a_pending_pod(pods: Bench) -> None:
    """A pod that no node takes waits, with the message of the cluster's scheduler."""
    pool = await pods.pool()
    await pool.ensure(spec())
    message = "0/3 nodes are available: 3 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    await pods.status(NAME, conditions=[condition])

    async def is_told() -> bool:
        answer = await pool.ensure(spec())
        return isinstance(answer, Waiting) and message in answer.reason

    await pods.until(pool, is_told)


@pytest.mark.parametrize(
    ("status", "failed", "told"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}, False, "low on memory"),
        ({"phase": "Failed", "reason": "Preempting", "message": "Preempted by a system pod"}, False, "Preempting"),
        ({"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough"}, False, "OutOfcpu"),
        (
            {"phase": "Failed", "reason": "Evicted", "message": 'Usage of EmptyDir volume "data" exceeds the limit "50Gi".'},
            True,
            "exceeds the limit",
        ),
        (
            {"containerStatuses": [container(waiting={"reason": "ImagePullBackOff", "message": "not found"})]},
            True,
            "the image heddle of container agent cannot be pulled (ImagePullBackOff: not found)",
        ),
    ],
)  # fmt: skip
async def test_a_lost_pod_is_gone(pods: Bench, status: dict[str, Any], failed: bool, told: str) -> None:
    """A pod that the cluster evicted or preempted is gone without a failure; one that can never run is a failure.

    Each is counted once.
    """
    before = counts()
    pool = await pods.pool()
    await pool.ensure(spec())
    await pods.status(NAME, **status)
    answer = await pods.ensured(pool, spec(), Gone)
    assert (answer.failed, told in answer.reason) == (failed, True), answer
    await pods.remove(NAME)

    async def is_removed() -> bool:
        return pool.list() == []

    await pods.until(pool, is_removed)
    created, of_failed, of_lost = (now - then for now, then in zip(counts(), before, strict=True))
    assert (created, of_failed, of_lost) == (1, int(failed), int(not failed))


def counts() -> list[float]:
    """Returns how many pods were created, failed and were lost so far."""
    series = [("created", {}), ("ended", {"outcome": "failed"}), ("ended", {"outcome": "lost"})]
    return [REGISTRY.get_sample_value(f"heddle_pods_{name}_total", labels) or 0 for name, labels in series]


async def test_a_generation_is_used_once(pods: Bench) -> None:
    """A pod that was deleted is never made again under its name; the next generation gets another one."""
    pool = await pods.pool()
    await pool.ensure(spec())
    await pods.status(NAME, **READY)
    await pods.ensured(pool, spec(), Ready)
    await pods.remove(NAME)
    answer = await pods.ensured(pool, spec(), Gone)
    assert not answer.failed

    # A leader that did not see it knows from the database that the place existed.
    successor = await pods.pool()
    answer = await successor.ensure(spec(placed=True))
    assert isinstance(answer, Gone)
    assert not answer.failed
    assert isinstance(await successor.ensure(spec(generation=2)), Waiting)
    assert await pods.names() == ["heddle-plan-abcde-search-2"]


async def test_a_released_pod_is_removed(pods: Bench) -> None:
    """A released pod is deleted; one that is kept stays, and its epic can have it back."""
    pool = await pods.pool()
    for epic in ("search", "kept"):
        await pool.ensure(spec(epic))
    await pool.release(spec("kept").key, keep=3600)
    await pool.release(spec().key)
    await pool.release(spec("unknown").key)
    await pods.until(pool, lambda: pool.list() == [spec("kept").key])
    assert await pods.names() == ["heddle-plan-abcde-kept-1"]

    assert isinstance(await pool.ensure(spec("kept")), Waiting)
    await pool.release(spec("kept").key)
    await pods.until(pool, lambda: pool.list() == [])


async def test_only_that_very_pod_is_deleted(pods: Bench) -> None:
    """A pod that replaced the one that was meant is not deleted."""
    pool, api = await pods.pool(), pods.pod_api()
    try:
        await pool.ensure(spec())
        with pytest.raises(RefusedError) as refused:
            await api.delete(NAME, "00000000-0000-0000-0000-000000000000")
        assert refused.value.status == 409
    finally:
        await api.close()
    assert await pods.names() == [NAME]


async def test_leaked_pods_are_removed(pods: Bench) -> None:
    """A leader removes the pods of earlier leaders that no epic needs, and no others."""
    earlier = await pods.pool()
    for epic in ("search", "leaked"):
        await earlier.ensure(spec(epic))
    await pods.add("a-users-pod")
    await pods.add("another-installations", **{"app.kubernetes.io/managed-by": "heddle"})
    pool = await pods.pool()
    await pool.release_others([spec().key])
    await pods.until(pool, lambda: pool.list() == [spec().key])
    assert await pods.names() == ["a-users-pod", "another-installations", NAME]


async def test_a_quota_is_waited_for(pods: Bench) -> None:
    """An epic whose pod exceeds the quota waits with the reason, and so do those behind it."""
    pool = await pods.pool()
    await pods.no_quota()
    answer = await pool.ensure(spec())
    assert isinstance(answer, Waiting)
    assert "the cluster has no room: " in answer.reason
    assert "quota" in answer.reason
    behind = await pool.ensure(spec("behind"))
    assert isinstance(behind, Waiting)
    assert "the cluster has no room: " in behind.reason
    assert await pods.names() == []


def test_the_ends_of_the_newest_pods_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pods that no longer exist, the last ten thousand are known; the oldest is forgotten first."""
    monkeypatch.setattr(
        "scheduler_svc.pools.kubernetes.engine.log", SimpleNamespace(warning=lambda *_, **__: None)
    )
    pool = KubernetesPool(Path("template.yaml"))
    ended = [f"pod-{number}" for number in range(10_001)]
    for name in ended[:-1]:
        pool._remember(name, Gone("evicted", failed=False))
    assert list(pool._ended) == ended[:-1]
    pool._remember(ended[-1], Gone("evicted", failed=False))
    assert list(pool._ended) == ended[1:]
