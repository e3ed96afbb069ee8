"""A mock of the Kubernetes API for pods, with what kmock's lacks: versions, resumed watches, preconditions, refusals."""

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp.web
import kmock
import yaml

Pod: TypeAlias = dict[str, Any]

NAMESPACE: Final = "heddle-agents"
_PODS: Final = kmock.resource("v1/pods")
_CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass
class Refusal:
    """An answer that the cluster gives instead of the real one."""

    # create, get, list, watch or delete.
    verb: str
    status: int
    message: str
    reason: str = ""
    retry_after: int = 0
    # How often; at each, `asked` is set.
    times: int = 1
    asked: asyncio.Event = field(default_factory=asyncio.Event)


class Cluster(kmock.KubernetesEmulator):
    """The API server. Start it with `serving`; pods stay as they are until a test or a kubelet changes them."""

    def __init__(self) -> None:
        super().__init__(limit=None, strict=False)
        self.resources[_PODS] = kmock.ResourceInfo(kind="Pod", namespaced=True)
        self.refusals: list[Refusal] = []
        self._versions = itertools.count(1)
        self._version = 0
        # All changes since `_oldest`: version, kind, pod.
        self._log: list[tuple[int, str, Pod]] = []
        self._oldest = 0
        self._news = asyncio.Condition()
        # Watches end when this changes.
        self._cuts = 0
        self.watches = 0

    # What a test does.

    def refuse(self, verb: str, status: int, message: str, **more: Any) -> Refusal:
        """Refuses the next calls of that verb; 0: it closes the connection without an answer."""
        refusal = Refusal(verb, status, message, **more)
        self.refusals.append(refusal)
        return refusal

    async def cut_watches(self) -> None:
        """Ends all open watches in the middle."""
        async with self._news:
            self._cuts += 1
            self._news.notify_all()

    async def forget(self) -> None:
        """Forgets all changes so far, so that a watch that continues from one of them gets 410."""
        self._oldest = self._version
        self._log.clear()

    def pod(self, name: str) -> Pod:
        found = self.objects[_PODS, NAMESPACE, name]
        return copy.deepcopy(_plain(found))

    def names(self) -> list[str]:
        """Returns the names of the pods that exist."""
        return sorted(name for (_, _, name), pod in self.objects.items() if not pod.deleted)

    async def status(self, name: str, **status: Any) -> None:
        """Changes fields of a pod's status, as the scheduler and the kubelet do."""
        await self.change(name, {"status": status})

    async def change(self, name: str, patch: Pod) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"
        async with self.patch(path, json=patch) as answer:
            assert answer.status == 200, await answer.text()

    async def remove(self, name: str) -> None:
        """Removes a pod at once, as when its node is deleted."""
        async with self.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}") as answer:
            assert answer.status == 200, await answer.text()

    async def changes(self) -> AsyncIterator[tuple[str, Pod]]:
        """Yields all pods that exist, and then every change."""
        version = self._version
        for name in self.names():
            yield "ADDED", self.pod(name)
        async for _, kind, pod in self._since(version):
            yield kind, pod

    # What the API server does.

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        verb = request.action.value.lower() if request.action else ""
        for refusal in self.refusals:
            if refusal.verb == ("get" if verb == "fetch" else verb):
                return self._refused(refusal, request)
        if request.resource != _PODS or verb not in {"create", "update", "delete"}:
            return await super()._handle(request)
        if verb == "create":
            self._complete(request.data, request.namespace or "")
        key = (_PODS, request.namespace, request.name or request.data["metadata"]["name"])
        alive = key in self.objects and not self.objects[key].deleted
        if verb == "create" and alive:
            return _status(409, "AlreadyExists", f'pods "{key[2]}" already exists')
        if verb != "create" and not alive:
            return _status(404, "NotFound", f'pods "{key[2]}" not found')
        wanted = ((request.data or {}).get("preconditions") or {}).get("uid")
        if verb == "delete" and wanted and wanted != self.pod(key[2])["metadata"]["uid"]:
            return _status(409, "Conflict", "the UID in the precondition does not match")
        self._version = next(self._versions)
        if verb == "delete":
            self.objects[key].patch({"metadata": {"resourceVersion": str(self._version)}})
        else:
            request.data.setdefault("metadata", {})["resourceVersion"] = str(self._version)
        before = self.objects[key].last if alive else None
        answer = await super()._handle(request)
        now = self.objects[key]
        kind = "DELETED" if now.deleted else "MODIFIED" if before is not None else "ADDED"
        async with self._news:
            self._log.append((self._version, kind, copy.deepcopy(_plain(now.last))))
            self._news.notify_all()
        return answer

    def _complete(self, pod: Pod, namespace: str) -> None:
        pod["metadata"] |= {"uid": f"uid-{next(self._versions)}", "namespace": namespace}
        pod["metadata"]["creationTimestamp"] = _CREATED
        pod["status"] = {"phase": "Pending"}

    def _refused(self, refusal: Refusal, request: kmock.Request) -> aiohttp.web.StreamResponse:
        refusal.times -= 1
        if not refusal.times:
            self.refusals.remove(refusal)
        refusal.asked.set()
        if not refusal.status:
            raw = request._raw_request
            assert raw
            assert raw.transport
            raw.transport.close()
        headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
        return _status(refusal.status or 500, refusal.reason, refusal.message, headers)

    async def _serve_list(self, request: kmock.Request) -> kmock.Payload:
        pods = [pod for name in self.names() if _matches(pod := self.pod(name), request)]
        return {"kind": "PodList", "metadata": {"resourceVersion": str(self._version)}, "items": pods}

    async def _serve_watch(self, request: kmock.Request) -> AsyncIterator[kmock.Payload]:
        yield b""
        version = int(request.params.get("resourceVersion", 0))
        if version < self._oldest:
            message = f"too old resource version: {version} ({self._oldest})"
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": message}
            yield json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
            return
        self.watches += 1
        try:
            async for number, kind, pod in self._since(version):
                if number < 0:
                    return
                if _matches(pod, request):
                    yield json.dumps({"type": kind, "object": pod}).encode() + b"\n"
        finally:
            self.watches -= 1

    async def _since(self, version: int) -> AsyncIterator[tuple[int, str, Pod]]:
        """Yields changes after a version; the last has a negative number, when the watches are cut."""
        cuts = self._cuts
        while True:
            async with self._news:
                while self._cuts == cuts and self._version_logged() <= version:
                    await self._news.wait()
            if self._cuts != cuts:
                yield -1, "", {}
                return
            for entry in [each for each in self._log if each[0] > version]:
                version = entry[0]
                yield entry

    def _version_logged(self) -> int:
        return self._log[-1][0] if self._log else 0


def _status(code: int, reason: str, message: str, headers: Any = None) -> aiohttp.web.Response:
    content = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return aiohttp.web.json_response(
        content | {"reason": reason, "message": message}, status=code, headers=headers
    )


def _matches(pod: Pod, request: kmock.Request) -> bool:
    labels = pod["metadata"].get("labels") or {}
    wanted = [part.split("=") for part in request.params.get("labelSelector", "").split(",") if part]
    return pod["metadata"].get("namespace") == request.namespace and all(
        labels.get(key) == value for key, value in wanted
    )


def _plain(value: Any) -> Any:
    """Returns kmock's views of values as the values."""
    if isinstance(value, kmock.Object):
        return _plain(value.last)
    if isinstance(value, kmock.ObjectVersion | dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


@asynccontextmanager
async def serving() -> AsyncIterator[Cluster]:
    """Serves a cluster without pods on a loopback port."""
    cluster = Cluster()
    async with cluster, kmock.Server(cluster):
        yield cluster


def kubeconfig(url: str, file: Path) -> Path:
    """Writes the configuration of a client of the cluster; returns the file."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mock",
        "clusters": [{"name": "mock", "cluster": {"server": url.rstrip("/")}}],
        "users": [{"name": "mock", "user": {}}],
        "contexts": [{"name": "mock", "context": {"cluster": "mock", "user": "mock"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file
