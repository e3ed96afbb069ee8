"""Plays the nodes of a cluster with local processes: each pod is a worker with services, disk and address of its own.

Killing a process is a crash of its container, removing a pod's node its loss with its disk, and stopping its
processes a partition. Linux only: each pod has an address of the loopback network of its own.
"""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heddle.config import Tls
from heddle.identity import certificates
from tests.support import warm
from tests.support.certificates import environment as tls_environment
from tests.support.certificates import of
from tests.support.cluster import NAMESPACE, Cluster, Pod
from tests.support.ports import free_ports

# Pods of a node end in order only while it has their finalizer.
_FINALIZER: Final = "heddle-test/kubelet"

_LOOK: Final = 0.05
_BOUND: Final = {"type": "PodScheduled", "status": "True"}


def template(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns a template like that of deploy/, whose services listen at the pod's own address only."""

    def container(name: str, port: int) -> dict[str, Any]:
        variables = [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "HEDDLE_WORKER_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "HEDDLE_LISTEN", "value": f"$(POD_IP):{port}"},
            *({"name": key, "value": value} for key, value in (environment or {}).items()),
        ]
        return {
            "name": name,
            "image": "heddle",
            "args": [f"{name}_svc"],
            "env": variables,
            "ports": [{"name": name, "containerPort": port}],
        }

    return {
        "pod": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": NAMESPACE},
            "spec": {"containers": [container("worktree", 7401), container("agent", 7402)]},
        }
    }


@dataclass
class _Running:
    """A pod on its node."""

    address: str
    folder: Path
    processes: dict[str, warm.Process] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    frozen: bool = False


class Kubelet:
    """All nodes of a cluster. `room` is how many pods they take; None: any number."""

    def __init__(self, cluster: Cluster, folder: Path, tls: Path, room: int | None = None) -> None:
        self._cluster = cluster
        self._folder = folder
        self._tls = of(tls, "worker-heddle-worker")
        self.room = room
        self._pods: dict[str, _Running] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Pods that no longer run although the cluster has them.
        self._ended: set[str] = set()

    async def run(self) -> None:
        """Starts and stops pods until cancelled."""
        try:
            async for kind, pod in self._cluster.changes():
                name = pod["metadata"]["name"]
                if kind == "DELETED":
                    await self._forget(name)
                    await self._place_waiting()
                elif pod["metadata"].get("deletionTimestamp"):
                    await self._end(name)
                else:
                    await self._place(name)
        finally:
            for name in list(self._tasks):
                await self._forget(name)

    def restarts(self, name: str) -> dict[str, int]:
        """Returns how often each container of a pod was started again; empty while one of them does not answer."""
        status = self._cluster.pod(name)["status"]
        containers = status.get("containerStatuses", [])
        return {each["name"]: each["restartCount"] for each in containers} if _is_ready(status) else {}

    def folder(self, name: str) -> Path:
        """Returns a pod's disk."""
        return self._pods[name].folder

    def crash(self, name: str, container: str) -> None:
        """Ends a container's process, which is started again on the same disk."""
        _kill(self._pods[name].processes[container])

    async def lose_node(self, name: str) -> None:
        """Removes a pod's node from the cluster: the pod is gone at once, with its processes and disk."""
        self._ended.add(name)
        await self._forget(name)
        await self._cluster.change(name, {"metadata": {"finalizers": []}})
        await self._cluster.remove(name)

    def freeze(self, name: str) -> None:
        """Stops all processes of a pod without ending them, as if its node was cut off."""
        self._pods[name].frozen = True
        for each in self._pods[name].processes.values():
            os.killpg(each.pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        for each in self._pods[name].processes.values():
            os.killpg(each.pid, signal.SIGCONT)
        self._pods[name].frozen = False

    async def evict(self, name: str) -> None:
        """Evicts a pod, whose object stays as failed, as the node is low on memory."""
        self._ended.add(name)
        await self._forget(name)
        message = "The node was low on resource: memory."
        await self._cluster.change(name, {"metadata": {"finalizers": []}})
        await self._cluster.status(name, phase="Failed", reason="Evicted", message=message)

    async def make_room(self, room: int) -> None:
        """Changes how many pods the nodes take."""
        self.room = room
        await self._place_waiting()

    async def _place_waiting(self) -> None:
        for name in self._cluster.names():
            await self._place(name)

    async def _place(self, name: str) -> None:
        if name in self._tasks or name in self._ended:
            return
        if self.room is not None and len(self._tasks) >= self.room:
            message = f"0/{self.room} nodes are available: {self.room} Too many pods."
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
            if self._cluster.pod(name)["status"].get("conditions") != [condition]:
                await self._cluster.status(name, conditions=[condition])
            return
        self._tasks[name] = asyncio.create_task(self._keep(name))

    async def _keep(self, name: str) -> None:
        """Runs a pod until it is cancelled."""
        pod = self._cluster.pod(name)
        [number] = free_ports(1)
        running = _Running(f"127.1.{number >> 8}.{number & 255}", self._folder / name)
        running.folder.mkdir(parents=True)
        self._pods[name] = running
        await self._cluster.change(
            name, {"metadata": {"finalizers": [_FINALIZER]}, "status": {"conditions": [_BOUND]}}
        )
        containers = {each["name"]: each for each in pod["spec"]["containers"]}
        ready = False
        while True:
            for each, container in containers.items():
                process = running.processes.get(each)
                if process is None or process.poll() is not None:
                    running.restarts[each] = running.restarts.get(each, -1) + 1
                    running.processes[each] = self._start(pod, container, running)
                    await self._cluster.status(name, **_status(running, containers, ready=False))
                    ready = False
            # Without a change of the state, there is nothing to tell; one that is stopped cannot be told apart.
            if not running.frozen:
                now = all([await _listens(running.address, each) for each in containers.values()])
                if now != ready:
                    ready = now
                    await self._cluster.status(name, **_status(running, containers, ready=now))
            await asyncio.sleep(_LOOK)

    def _start(self, pod: Pod, container: Mapping[str, Any], running: _Running) -> warm.Process:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("HEDDLE_") and key != "PYTEST_CURRENT_TEST"
        }
        variables = _variables(pod, container, running.address)
        own = {"HEDDLE_HOME": str(running.folder), "HEDDLE_MIN_FREE_BYTES": "0"}
        with (self._folder / f"{pod['metadata']['name']}-{container['name']}.log").open("ab") as log:
            return warm.start(
                container["args"][0],
                env=inherited | own | tls_environment(self._tls) | variables,
                cwd=self._folder,
                stdout=log.fileno(),
                stderr=log.fileno(),
            )

    async def _end(self, name: str) -> None:
        """Ends a deleted pod in order, and lets the cluster forget it."""
        running = self._pods.get(name)
        for each in running.processes.values() if running else ():
            each.terminate()
        await self._forget(name)
        with suppress(AssertionError):
            await self._cluster.change(name, {"metadata": {"finalizers": []}})

    async def _forget(self, name: str) -> None:
        """Ends a pod's processes, and removes its disk."""
        task = self._tasks.pop(name, None)
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        running = self._pods.pop(name, None)
        if running:
            for each in running.processes.values():
                _kill(each)
            shutil.rmtree(running.folder, ignore_errors=True)


def _kill(process: warm.Process) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _variables(pod: Pod, container: Mapping[str, Any], address: str) -> dict[str, str]:
    """Returns a container's environment; as in Kubernetes, $(NAME) is the value of an earlier variable."""
    fields = {"metadata.name": pod["metadata"]["name"], "status.podIP": address}
    found: dict[str, str] = {}
    for each in container.get("env", []):
        value = each.get("value")
        if value is None:
            value = fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        found[each["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), value)
    return found


def _status(running: _Running, containers: Mapping[str, Any], *, ready: bool) -> dict[str, Any]:
    return {
        "phase": "Running",
        "podIP": running.address,
        "conditions": [_BOUND, {"type": "Ready", "status": str(ready)}],
        "containerStatuses": [
            {
                "name": name,
                "ready": ready,
                "restartCount": running.restarts.get(name, 0),
                "state": {"running": {}},
            }
            for name in containers
        ],
    }


def _is_ready(status: Mapping[str, Any]) -> bool:
    return {"type": "Ready", "status": "True"} in status.get("conditions", [])


async def _listens(address: str, container: Mapping[str, Any]) -> bool:
    """The readiness probe of deploy/: a connection to the port."""
    try:
        _, writer = await asyncio.open_connection(address, container["ports"][0]["containerPort"])
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def running_nodes(cluster: Cluster, folder: Path, room: int | None = None) -> AsyncIterator[Kubelet]:
    """Runs the nodes of a cluster below `folder`, where `tls/` gets a set of certificates."""
    certificates.make_set(folder / "tls", ["127.0.0.1", "localhost", "heddle-worker"], ["heddle-worker"])
    kubelet = Kubelet(cluster, folder / "pods", folder / "tls", room)
    task = asyncio.create_task(kubelet.run())
    try:
        yield kubelet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def scheduler_tls(folder: Path) -> Tls:
    """Returns the certificate of the scheduler in the set of `running_nodes`."""
    return of(folder / "tls", "scheduler")
