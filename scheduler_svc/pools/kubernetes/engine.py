"""A pool whose places are pods: one for each epic, made from a template. Kubernetes decides where they run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

from heddle.config import ConfigError, WorkerAddress
from heddle.timing.backoff import Backoff
from scheduler_svc.pools.kubernetes import names
from scheduler_svc.pools.kubernetes.api import Pod, PodApi, RefusedError
from scheduler_svc.pools.kubernetes.pod_state import end_of, state_of
from scheduler_svc.pools.kubernetes.pods import Pods
from scheduler_svc.pools.kubernetes.template import Template, TemplateError
from scheduler_svc.pools.pool import Answer, Gone, PlaceKey, PlaceSpec, Ready, Waiting

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Calls that create or delete pods at the same time.
_PARALLEL: Final = 8

# Seconds until a refused pod is asked for again, growing from the first to the second.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0

# Deleted pods whose end is remembered until their place is released.
_REMEMBERED: Final = 10_000

# What a refusal concerns, if not one pod only.
_SERVER: Final = "the API server"
_QUOTA: Final = "the quota"

_CONFLICT: Final = 409
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429

_PODS: Final = Gauge("heddle_pods", "Pods of epics, by what the scheduler sees.", ["state"])
_CREATED: Final = Counter("heddle_pods_created", "Pods that this scheduler has created.")
_ENDED: Final = Counter(
    "heddle_pods_ended", "Pods that ended before their epics, as this scheduler saw it.", ["outcome"]
)
for _outcome in ("failed", "lost"):
    # Shown as 0 before the first, so that a rate has a beginning.
    _ENDED.labels(_outcome)
_START: Final = Histogram(
    "heddle_pod_start_seconds",
    "Time from the creation of an epic's pod until its worker was ready.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
)


@dataclass
class _Hold:
    """A pause after the API server has refused to create a pod."""

    reason: str
    until: float
    backoff: Backoff


class KubernetesPool:
    """The pool. `template` is read again for each pod, so that changes apply without a restart."""

    def __init__(
        self,
        template: Path,
        connect: Callable[[str, str], Awaitable[PodApi]] = PodApi.connect,
        *,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        """`connect` gets the namespace and the labels of the pods.

        `first_pause` is how long, in seconds, the first refusal of a pod holds up the next try.
        """
        self.on_change: Callable[[], None] = lambda: None
        self._connect = connect
        self._template = template
        self._first_pause = first_pause
        self._pods = Pods(self._changed, self._notify)
        # Ports of the pods, from the template that was last valid.
        self._ports = (0, 0)
        # The version of its file, and the template.
        self._read: tuple[tuple[int, int, int], Template] | None = None
        # How the pods ended that no longer exist, by name.
        self._ended: dict[str, Gone] = {}
        # Refusals that concern every pod, or one of them by its name.
        self._holds: dict[str, _Hold] = {}
        # When a released pod is to be deleted, by name; infinite: that is done.
        self._releasing: dict[str, float] = {}
        # When this process created a pod whose worker is not ready yet.
        self._created: dict[str, float] = {}
        # The workers of pods that were ready, by the pod's name.
        self._workers: dict[str, tuple[PlaceKey, WorkerAddress]] = {}
        # The state of each pod in the metrics.
        self._shown: dict[str, str] = {}
        self._calls = asyncio.Semaphore(_PARALLEL)
        self._wakes = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to follow the cluster, however long it is unavailable.

        Raises ConfigError if the template is invalid, or no cluster is configured.
        """
        try:
            template = self._current_template()
        except TemplateError as error:
            raise ConfigError(f"HEDDLE_POD_TEMPLATE is {str(self._template)!r}; {error}") from error
        self._api = await self._connect(template.namespace, template.selector)
        self._tasks = [asyncio.create_task(self._pods.run(self._api)), asyncio.create_task(self._remove())]

    async def close(self) -> None:
        """Stops; pods stay. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            self._tasks.clear()
            await self._api.close()

    async def ensure(self, spec: PlaceSpec) -> Answer:
        """See `Pool`."""
        if self._pods.problem:
            return Waiting(f"the pods of the cluster are not known: {self._pods.problem}")
        name = names.pod_name(spec.key)
        if self._releasing.get(name) != inf:
            # The epic continues within the time for which its pod was kept.
            self._releasing.pop(name, None)
        pod = self._pods.get(name)
        if pod is None:
            if ended := self._ended.get(name):
                return ended
            if spec.placed:
                return Gone(f"pod {name} no longer exists", failed=False)
            created = await self._create(spec)
            if isinstance(created, Waiting):
                return created
            pod = created
        if names.key_of(pod) != spec.key:
            return Gone(f"pod {name} exists, and is not this epic's", failed=False)
        return state_of(pod, self._ports, placed=spec.placed)

    async def release(self, key: PlaceKey, keep: float = 0) -> None:
        """See `Pool`."""
        name = names.pod_name(key)
        self._ended.pop(name, None)
        self._holds.pop(name, None)
        self._releasing[name] = min(self._releasing.get(name, inf), self._now() + keep)
        self._wakes.set()

    async def release_others(self, used: Iterable[PlaceKey], keep: float = 0) -> None:
        """See `Pool`."""
        wanted = {names.pod_name(key) for key in used}
        for pod in self._pods.all():
            name, key = pod["metadata"]["name"], names.key_of(pod)
            if key and name not in wanted and name not in self._releasing:
                log.info("place_released", pod=name, seconds=keep)
                await self.release(key, keep)

    def workers(self) -> dict[PlaceKey, WorkerAddress]:
        """See `Pool`."""
        return dict(self._workers.values())

    def is_gone(self, key: PlaceKey) -> bool:
        """See `Pool`."""
        pod = self._pods.get(names.pod_name(key))
        if pod is None:
            return not self._pods.problem
        return isinstance(state_of(pod, self._ports, placed=True), Gone)

    def key_of(self, worker: str, run: str, epic: str) -> PlaceKey | None:
        """See `Pool`."""
        return names.key_of_worker(worker, run, epic)

    def list(self) -> list[PlaceKey]:
        """See `Pool`."""
        return sorted(key for pod in self._pods.all() if (key := names.key_of(pod)))

    async def _create(self, spec: PlaceSpec) -> Pod | Waiting:
        name = names.pod_name(spec.key)
        if held := self._held(name):
            return held
        try:
            manifest = self._current_template().manifest(spec)
        except TemplateError as error:
            return self._hold(name, str(error))
        async with self._calls:
            # Another call for the same place may have created it, or have been refused.
            return self._pods.get(name) or self._held(name) or await self._post(name, manifest)

    def _current_template(self) -> Template:
        """Reads the template again if its file has changed; raises TemplateError."""
        try:
            found = self._template.stat()
        except OSError:
            # Its error says why.
            return Template.read(self._template)
        version = (found.st_mtime_ns, found.st_ino, found.st_size)
        if self._read is None or self._read[0] != version:
            template = Template.read(self._template)
            self._ports = template.port("worktree"), template.port("agent")
            self._read = version, template
        return self._read[1]

    async def _post(self, name: str, manifest: Pod) -> Pod | Waiting:
        try:
            pod = await self._api.create(manifest)
            self._created[name] = self._now()
            _CREATED.inc()
            log.info("pod_created", pod=name)
        except RefusedError as error:
            if error.status != _CONFLICT:
                return self._refused(name, error)
            try:
                # An earlier leader created it.
                pod = await self._api.get(name)
            except RefusedError as second:
                return self._refused(name, second)
        for scope in (_SERVER, _QUOTA, name):
            self._holds.pop(scope, None)
        self._pods.put(pod)
        return self._pods.get(name) or pod

    def _held(self, name: str) -> Waiting | None:
        holds = (self._holds.get(scope) for scope in (_SERVER, _QUOTA, name))
        return next((Waiting(hold.reason) for hold in holds if hold and self._now() < hold.until), None)

    def _refused(self, name: str, error: RefusedError) -> Waiting:
        if error.status in {0, _TOO_MANY} or error.status >= 500:
            return self._hold(_SERVER, f"the cluster does not answer: {error.message}", error.retry_after)
        if error.status == _FORBIDDEN and "quota" in error.message:
            # Whatever is asked for next would be refused too, and the first in the queue comes first.
            return self._hold(_QUOTA, f"the cluster has no room: {error.message}", error.retry_after)
        return self._hold(name, f"the cluster refuses the pod: {error.message}", error.retry_after)

    def _hold(self, scope: str, reason: str, least: float = 0) -> Waiting:
        """Does not create pods of a scope for a while, and says so."""
        hold = self._holds.get(scope)
        if hold is None or hold.reason != reason:
            log.warning("pod_not_created", scope=scope, reason=reason)
        backoff = hold.backoff if hold else Backoff(self._first_pause, _LONGEST_PAUSE)
        seconds = max(backoff.seconds(), least)
        self._holds[scope] = _Hold(reason, self._now() + seconds, backoff)
        asyncio.get_running_loop().call_later(seconds, self._notify)
        return Waiting(reason)

    def _changed(self, pod: Pod, gone: bool) -> None:
        """Called for each pod of the cluster that changed."""
        name = pod["metadata"]["name"]
        state = None if gone else state_of(pod, self._ports, placed=name in self._workers)
        key = names.key_of(pod)
        if isinstance(state, Ready) and key:
            self._workers[name] = key, state.address
        elif not isinstance(state, Waiting):
            self._workers.pop(name, None)
        end = state if isinstance(state, Gone) else None
        if gone:
            self._created.pop(name, None)
            if self._releasing.pop(name, None) is None:
                end = end_of(pod)
                self._remember(name, end)
            # There may be room now.
            self._holds.pop(_QUOTA, None)
        elif isinstance(state, Ready) and (created := self._created.pop(name, None)):
            _START.observe(self._now() - created)
        if end and self._shown.get(name) != "gone":
            _ENDED.labels("failed" if end.failed else "lost").inc()
        self._show(name, state)
        self._notify()

    def _remember(self, name: str, end: Gone) -> None:
        log.warning("pod_ended", pod=name, reason=end.reason)
        self._ended[name] = end
        if len(self._ended) > _REMEMBERED:
            self._ended.pop(next(iter(self._ended)))

    def _show(self, name: str, state: Answer | None) -> None:
        if before := self._shown.pop(name, None):
            _PODS.labels(before).dec()
        if state:
            self._shown[name] = type(state).__name__.lower()
            _PODS.labels(self._shown[name]).inc()

    def _notify(self) -> None:
        self.on_change()

    async def _remove(self) -> None:
        """Deletes released pods when their time has come, until cancelled."""
        backoff = Backoff(self._first_pause, _LONGEST_PAUSE)
        while True:
            self._wakes.clear()
            due = [name for name, time in self._releasing.items() if time <= self._now()]
            done = await asyncio.gather(*map(self._delete, due))
            if all(done):
                backoff.reset()
                pause = min(self._releasing.values(), default=inf) - self._now()
            else:
                pause = backoff.seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause, 0), _LONGEST_PAUSE)):
                    await self._wakes.wait()

    async def _delete(self, name: str) -> bool:
        """Returns whether the pod no longer needs to be deleted."""
        async with self._calls:
            try:
                pod = self._pods.get(name) or await self._api.get(name)
                if not pod["metadata"].get("deletionTimestamp"):
                    await self._api.delete(name, pod["metadata"]["uid"])
                    log.info("pod_deleted", pod=name)
            except RefusedError as error:
                # 409: the pod that was released is gone, and another one has its name.
                if error.status not in {_NOT_FOUND, _CONFLICT}:
                    log.warning("pod_not_deleted", pod=name, error=error.message)
                    return False
        if name in self._releasing:
            # Until the cluster says that it is gone.
            self._releasing[name] = inf
        return True

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
