"""The pods of the cluster as this process knows them: listed once, then watched."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog

from heddle.timing.backoff import Backoff
from scheduler_svc.pools.kubernetes.api import Pod, PodApi, RefusedError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between two tries of a list or watch that the server refuses, growing from the first to the second.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0
# Seconds after which the end of a watch is an ordinary one.
_SHORT: Final = 5.0


class Pods:
    """The pods by name. `on_change` gets a pod that changed, and whether it is gone; `on_listed`: all are known."""

    def __init__(self, on_change: Callable[[Pod, bool], None], on_listed: Callable[[], None]) -> None:
        self._on_change = on_change
        self._on_listed = on_listed
        self._pods: dict[str, Pod] = {}
        # The version up to which the pods are known. Empty: they must be listed.
        self._version = ""
        # Why the pods are not up to date. Empty: they are.
        self.problem = "the pods of the cluster are being listed"

    async def run(self, api: PodApi) -> None:
        """Follows the cluster until cancelled."""
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        now = asyncio.get_running_loop().time
        while True:
            asked = 0.0
            try:
                if not self._version:
                    await self._list(api)
                began = now()
                if await self._watch(api) or now() - began > _SHORT:
                    backoff.reset()
            except RefusedError as error:
                asked = error.retry_after
                if error.expired:
                    # The server no longer knows what happened since that version, which is no failure.
                    self._version = ""
                log.log(
                    logging.INFO if error.expired else logging.WARNING,
                    "pods_not_watched",
                    status=error.status,
                    error=error.message,
                )
                if not self._version and not error.expired:
                    self.problem = error.message
            await asyncio.sleep(max(backoff.seconds(), asked))

    def get(self, name: str) -> Pod | None:
        return self._pods.get(name)

    def all(self) -> list[Pod]:
        return list(self._pods.values())

    def put(self, pod: Pod) -> None:
        """Adds a pod that was created before the watch shows it."""
        self._pods.setdefault(pod["metadata"]["name"], pod)

    def drop(self, name: str, uid: str) -> None:
        """Removes a pod that the server no longer has, before the watch shows it."""
        pod = self._pods.get(name)
        if pod and pod["metadata"]["uid"] == uid:
            del self._pods[name]
            self._on_change(pod, True)

    async def _list(self, api: PodApi) -> None:
        known = dict(self._pods)
        listed, version = await api.list()
        found = {pod["metadata"]["name"]: pod for pod in listed}
        # A pod that was created meanwhile may be missing in the list; the watch will show it.
        created = {name: pod for name, pod in self._pods.items() if name not in known}
        self._pods = created | found
        self._version, self.problem = version, ""
        log.info("pods_listed", count=len(found))
        for name, pod in known.items():
            if _uid(found.get(name)) != _uid(pod):
                self._on_change(pod, True)
        for pod in listed:
            self._on_change(pod, False)
        self._on_listed()

    async def _watch(self, api: PodApi) -> bool:
        """Applies changes until the server ends the watch; returns whether there were any."""
        changed = False
        async with aclosing(api.watch(self._version)) as events:
            async for kind, pod in events:
                changed = True
                self._version = pod["metadata"].get("resourceVersion") or self._version
                if kind == "BOOKMARK":
                    continue
                name = pod["metadata"]["name"]
                if kind == "DELETED":
                    self._pods.pop(name, None)
                else:
                    self._pods[name] = pod
                self._on_change(pod, kind == "DELETED")
        return changed


def _uid(pod: Pod | None) -> str:
    return str(pod["metadata"].get("uid", "")) if pod else ""
