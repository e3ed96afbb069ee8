"""A cluster to test the pool on: the mock of tests/support/cluster.py, or the cluster of KUBECONFIG."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from scheduler_svc.pools.kubernetes.api import PodApi
from scheduler_svc.pools.kubernetes.engine import KubernetesPool
from scheduler_svc.pools.kubernetes.template import Template
from scheduler_svc.pools.pool import Answer, PlaceKey, PlaceSpec
from tests.support import cluster

# Set by `make kubernetes`: the suite runs on the cluster of KUBECONFIG.
REAL: Final = bool(os.environ.get("HEDDLE_TEST_KUBERNETES"))

DEADLINE: Final = 60


def template(namespace: str = cluster.NAMESPACE) -> dict[str, Any]:
    """Returns a template whose pods no node of a real cluster takes, so that only the test changes them."""
    containers = [
        {
            "name": name,
            "image": "heddle",
            "args": [f"{name}_svc"],
            "ports": [{"name": name, "containerPort": port}],
            "resources": {"requests": {"cpu": "100m"}},
        }
        for name, port in (("worktree", 7401), ("agent", 7402))
    ]
    return {
        "pod": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": namespace, "labels": {"app.kubernetes.io/name": "heddle-worker"}},
            "spec": {
                "nodeSelector": {"heddle-test": "no-node"},
                "automountServiceAccountToken": False,
                "containers": containers,
            },
        }
    }


def spec(epic: str = "search", generation: int = 1, **more: Any) -> PlaceSpec:
    return PlaceSpec(PlaceKey("plan-abcde", epic, generation), **more)


@dataclass
class Bench:
    """Pools on one cluster, and what a test does to its pods."""

    configuration: Configuration
    namespace: str
    template: Path
    # None on a real cluster.
    mock: cluster.Cluster | None
    pools: list[KubernetesPool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = ApiClient(self.configuration)
        # Its types know models only, and no manifests as JSON.
        self.api: Any = CoreV1Api(self._client)

    @property
    def kubernetes(self) -> cluster.Cluster:
        """The mock, for tests that only it can play."""
        assert self.mock is not None
        return self.mock

    def pod_api(self) -> PodApi:
        found = Template.read(self.template)
        return PodApi(self.configuration, found.namespace, found.selector)

    async def pool(self) -> KubernetesPool:
        """Starts a pool, as each leader does; returns it when it knows the cluster."""

        async def connect(*_: str) -> PodApi:
            return self.pod_api()

        pool = KubernetesPool(self.template, connect, first_pause=0.05)
        self.pools.append(pool)
        await pool.start()
        await self.until(pool, lambda: not pool._pods.problem)
        return pool

    async def ensured(self, pool: KubernetesPool, wanted: PlaceSpec, kind: type[Answer] | Any) -> Any:
        """Asks the pool at each of its changes until the answer is of that kind; returns the answer."""
        answers: list[Answer] = []

        async def asked() -> bool:
            answers.append(await pool.ensure(wanted))
            return isinstance(answers[-1], kind)

        await self.until(pool, asked)
        return answers[-1]

    async def until(self, pool: KubernetesPool, check: Callable[[], Awaitable[bool] | bool]) -> None:
        """Waits for a condition that a change of the pool makes true; fails after a minute."""
        changed = asyncio.Event()
        pool.on_change = changed.set
        async with asyncio.timeout(DEADLINE):
            while True:
                changed.clear()
                found = check()
                if found if isinstance(found, bool) else await found:
                    return
                await changed.wait()

    async def names(self) -> list[str]:
        found = await self.api.list_namespaced_pod(self.namespace)
        return sorted(pod.metadata.name for pod in found.items)

    async def labels(self, name: str) -> dict[str, str]:
        pod = await self.api.read_namespaced_pod(name, self.namespace)
        return dict(pod.metadata.labels)

    async def status(self, name: str, **status: Any) -> None:
        """Changes a pod's status, as the scheduler and the kubelet of a cluster do."""
        body = {"status": status}
        await self.api.patch_namespaced_pod_status(name, self.namespace, body)

    async def remove(self, name: str) -> None:
        await self.api.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)

    async def add(self, name: str, **labels: str) -> None:
        """Creates a pod that is not the pool's."""
        pod = template(self.namespace)["pod"]
        pod["metadata"] = {"name": name, "labels": labels}
        await self.api.create_namespaced_pod(self.namespace, pod)

    async def no_quota(self) -> None:
        """Makes the cluster refuse more pods, by a quota."""
        if self.mock is not None:
            message = 'pods "a" is forbidden: exceeded quota: agents, requested: pods=1, used: pods=1, limited: pods=1'
            self.mock.refuse("create", 403, message, reason="Forbidden", times=2)
            return
        body = {"metadata": {"name": "agents"}, "spec": {"hard": {"pods": "0"}}}
        await self.api.create_namespaced_resource_quota(self.namespace, body)

    async def close(self) -> None:
        for pool in self.pools:
            await pool.close()
        await self._client.close()


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """Yields the mock, or a new namespace of the cluster of KUBECONFIG, which is removed at the end."""
    file = folder / "template.yaml"
    configuration = Configuration()
    async with AsyncExitStack() as stack:
        if REAL:
            await config.load_kube_config(
                config_file=os.environ["KUBECONFIG"], client_configuration=configuration
            )
            namespace = f"heddle-test-{secrets.token_hex(4)}"
            await stack.enter_async_context(_new_namespace(configuration, namespace))
            mock = None
        else:
            mock = await stack.enter_async_context(cluster.serving())
            configuration.host = str(mock.url).rstrip("/")
            namespace = cluster.NAMESPACE
        file.write_text(yaml.safe_dump(template(namespace)))
        found = Bench(configuration, namespace, file, mock)
        try:
            yield found
        finally:
            await found.close()


@asynccontextmanager
async def _new_namespace(configuration: Configuration, name: str) -> AsyncIterator[None]:
    async with ApiClient(configuration) as client:
        # As above.
        api: Any = CoreV1Api(client)
        await api.create_namespace({"metadata": {"name": name}})
        try:
            # Pods need it; an API server without controllers does not create it.
            await api.create_namespaced_service_account(name, {"metadata": {"name": "default"}})
        except ApiException as error:
            if error.status != 409:
                raise
        try:
            yield
        finally:
            await api.delete_collection_namespaced_pod(name, grace_period_seconds=0)
            await api.delete_namespace(name)
