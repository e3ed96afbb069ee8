"""The calls to the API server: all that the pool needs of Kubernetes, valid from version 1.20 on."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, Final, Self

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
from prometheus_client import Counter

from heddle.config import ConfigError

Pod = dict[str, Any]

# Seconds that a call may take.
_TIMEOUT: Final = 15.0
# Seconds after which the server ends a watch, and after which one of a silent server is given up.
_WATCH: Final = 120
_WATCH_TIMEOUT: Final = _WATCH + 15.0

# Pods in one answer; a pod has about 10 KB.
_PAGE: Final = 250

_EXPIRED: Final = 410

_CALLS: Final = Counter(
    "heddle_kubernetes_calls", "Calls to the Kubernetes API, by their HTTP status.", ["verb", "code"]
)


class RefusedError(Exception):
    """The API server refused a call, or could not be reached (`status` 0)."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        # Seconds that the server asks to wait; 0: it does not say.
        self.retry_after = retry_after

    @property
    def expired(self) -> bool:
        """True: the version from which a list or watch should continue is too old."""
        return self.status == _EXPIRED


class PodApi:
    """Pods of one namespace with certain labels. Every method raises RefusedError."""

    def __init__(self, configuration: Configuration, namespace: str, selector: str) -> None:
        self._client = ApiClient(configuration)
        # Its types know models only, and neither manifests nor answers as JSON.
        self._api: Any = CoreV1Api(self._client)
        self._namespace = namespace
        self._selector = selector

    @classmethod
    async def connect(cls, namespace: str, selector: str) -> Self:
        """Uses the cluster of KUBECONFIG, or that in which this process is a pod; raises ConfigError."""
        configuration = Configuration()
        file = os.environ.get("KUBECONFIG")
        try:
            if file:
                await config.load_kube_config(config_file=file, client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # it has no types
        except (config.ConfigException, OSError) as error:
            raise ConfigError(
                f"no Kubernetes cluster can be used: {error}. Run the scheduler in a pod with a service account, or set"
                " KUBECONFIG"
            ) from error
        return cls(configuration, namespace, selector)

    async def close(self) -> None:
        await self._client.close()

    async def create(self, manifest: Pod) -> Pod:
        call = self._api.create_namespaced_pod(self._namespace, manifest, **self._options())
        return await self._answer("create", call)

    async def get(self, name: str) -> Pod:
        return await self._answer(
            "get", self._api.read_namespaced_pod(name, self._namespace, **self._options())
        )

    async def delete(self, name: str, uid: str) -> None:
        """Deletes this very pod: another one of the same name is refused with 409."""
        body = {"preconditions": {"uid": uid}}
        call = self._api.delete_namespaced_pod(name, self._namespace, body=body, **self._options())
        await self._answer("delete", call)

    async def list(self) -> tuple[list[Pod], str]:
        """Returns all pods, and the version from which `watch` continues."""
        pods: list[Pod] = []
        more: dict[str, str] = {}
        while True:
            call = self._api.list_namespaced_pod(
                self._namespace, label_selector=self._selector, limit=_PAGE, **more, **self._options()
            )
            answer = await self._answer("list", call)
            pods += answer["items"]
            if not answer["metadata"].get("continue"):
                return pods, answer["metadata"].get("resourceVersion", "")
            more = {"_continue": answer["metadata"]["continue"]}

    async def watch(self, version: str) -> AsyncGenerator[tuple[str, Pod], None]:
        """Yields changes after `version` as ADDED, MODIFIED, DELETED or BOOKMARK, until the server ends the watch.

        Close the generator to stop.
        """
        call = self._api.list_namespaced_pod(
            self._namespace,
            label_selector=self._selector,
            # Written as JSON does; the client would send "True".
            watch="true",
            resource_version=version,
            allow_watch_bookmarks="true",
            timeout_seconds=_WATCH,
            **self._options(_WATCH_TIMEOUT),
        )
        answer = await self._raw("watch", call)
        try:
            async with aclosing(_lines(answer)) as lines:
                async for line in lines:
                    yield _change(line)
        finally:
            answer.close()

    @staticmethod
    def _options(timeout: float = _TIMEOUT) -> dict[str, Any]:
        # Answers are read as JSON: models know the fields of one version only, and refuse what they believe invalid.
        return {"_preload_content": False, "_request_timeout": timeout}

    async def _answer(self, verb: str, call: Awaitable[Any]) -> Pod:
        answer = await self._raw(verb, call)
        try:
            async with asyncio.timeout(_TIMEOUT):
                content: Pod = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unreachable(error) from error
        return content

    @staticmethod
    async def _raw(verb: str, call: Awaitable[Any]) -> aiohttp.ClientResponse:
        """Returns the answer of a call that succeeded."""
        try:
            answer: aiohttp.ClientResponse = await call
            _CALLS.labels(verb, str(answer.status)).inc()
            if answer.ok:
                return answer
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _CALLS.labels(verb, "none").inc()
            raise _unreachable(error) from error
        try:
            status = json.loads(content)
        except ValueError:
            status = {}
        wait = answer.headers.get("Retry-After", "")
        raise _refused(
            answer.status, status if isinstance(status, dict) else {}, float(wait) if wait.isdecimal() else 0
        )


async def _lines(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            line = await answer.content.readline()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _unreachable(error) from error
        if not line:
            return
        if line.strip():
            yield line


def _change(line: bytes) -> tuple[str, Pod]:
    """Returns the kind of a change and the pod; raises RefusedError for an error, and for what is no change."""
    try:
        event = json.loads(line)
        kind, pod = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            0, "", f"the API server sent what is no change of a pod: {line[:200]!r}"
        ) from error
    if kind == "ERROR":
        raise _refused(int(pod.get("code") or 500), pod)
    return kind, pod


def _refused(code: int, status: dict[str, Any], retry_after: float = 0) -> RefusedError:
    reason = str(status.get("reason") or "")
    return RefusedError(
        code, reason, str(status.get("message") or reason or f"HTTP status {code}"), retry_after
    )


def _unreachable(error: Exception) -> RefusedError:
    return RefusedError(
        0, "", f"the API server of the cluster cannot be reached: {str(error) or type(error).__name__}"
    )
