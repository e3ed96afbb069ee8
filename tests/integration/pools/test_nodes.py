"""Pods that are real workers, on nodes that fail: through the pool, and over mutual TLS."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from heddle import pb
from heddle.config import WorkerAddress
from heddle.errors import HeddleError
from scheduler_svc.pools.pool import Gone, Ready, Waiting
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import Workers, call
from tests.support.kubelet import Kubelet, running_nodes, scheduler_tls, template
from tests.support.pods import REAL, Bench, spec
from tests.support.scheduler import eventually

pytestmark = [
    pytest.mark.skipif(REAL, reason="a real cluster has its own nodes"),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address only"),
]

NAME = "heddle-plan-abcde-search-1"


@pytest.fixture
async def nodes(pods: Bench, tmp_path: Path) -> AsyncIterator[Kubelet]:
    pods.template.write_text(yaml.safe_dump(template({"HEDDLE_SANDBOX": "off"})))
    async with running_nodes(pods.kubernetes, tmp_path / "nodes", room=1) as kubelet:
        yield kubelet


@asynccontextmanager
async def worker_at(address: WorkerAddress, tmp_path: Path) -> AsyncIterator[Worker]:
    workers = Workers([address], scheduler_tls(tmp_path / "nodes"))
    await workers.start()
    try:
        yield workers.get(address.name)
    finally:
        await workers.close()


async def test_a_pod_is_a_worker(pods: Bench, nodes: Kubelet, tmp_path: Path) -> None:
    """The scheduler reaches both services of a pod by its address; a crash, a partition and the loss of its node are told apart."""
    pool = await pods.pool()
    address = (await pods.ensured(pool, spec(), Ready)).address
    async with worker_at(address, tmp_path) as worker:
        await eventually(lambda: worker.state.connected)
        assert worker.state.name == f"workers/{NAME}"
        request = pb.ListWorktreesRequest(page_size=1)
        await call(NAME, worker.worktree.ListWorktrees, request, 30)
        disk = nodes.folder(NAME)

        # A crash: the same place, with the same disk, whose worker is back soon.
        nodes.crash(NAME, "agent")
        await eventually(lambda: nodes.restarts(NAME) == {"worktree": 0, "agent": 1})
        assert isinstance(await pool.ensure(spec(placed=True)), Ready)
        await call(NAME, worker.agent.GetWorker, pb.GetWorkerRequest(), 30)
        assert nodes.folder(NAME) == disk
        assert disk.is_dir()

        # A partition: the cluster still has the pod, and so has the pool. The worker's lease decides.
        nodes.freeze(NAME)
        with pytest.raises(HeddleError, match="cannot be reached"):
            await call(NAME, worker.worktree.ListWorktrees, request, 0.5)
        assert isinstance(await pool.ensure(spec(placed=True)), Ready)
        nodes.thaw(NAME)
        await call(NAME, worker.worktree.ListWorktrees, request, 30)

        # Another epic waits for room, and the operator sees why.
        waiting = await pool.ensure(spec("other"))
        assert isinstance(waiting, Waiting)

        async def is_told() -> bool:
            answer = await pool.ensure(spec("other"))
            return isinstance(answer, Waiting) and "0/1 nodes are available" in answer.reason

        await pods.until(pool, is_told)

        # The node is lost, with the disk. The other epic gets the room.
        await nodes.lose_node(NAME)
        gone = await pods.ensured(pool, spec(placed=True), Gone)
        assert not gone.failed
        assert not disk.exists()
    address = (await pods.ensured(pool, spec("other"), Ready)).address
    await nodes.evict(address.name)
    gone = await pods.ensured(pool, spec("other", placed=True), Gone)
    assert (gone.failed, "low on resource: memory" in gone.reason) == (False, True)
    await pool.release(spec("other").key)
    await pods.until(pool, lambda: pool.list() == [])
