"""The Kubernetes manifests are valid, secure and consistent with the code."""

import copy
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heddle.config import Settings
from scheduler_svc.pools.kubernetes.template import Template
from scheduler_svc.pools.pool import PlaceKey, PlaceSpec
from tests.manifests import (
    FOLDERS,
    ROOT,
    Manifest,
    ManifestError,
    check,
    ordered,
    render,
    rendered_by_kubectl,
)

USER = 10001

# The overlay in which the agents' container creates its own namespaces and mounts.
WRITE_BOUNDARY = "deploy/overlays/write-boundary"
UNCONFINED = {"seccompProfile": {"type": "Unconfined"}, "appArmorProfile": {"type": "Unconfined"}}

# The overlay in which each epic has a pod, in a namespace of their own.
PODS = "deploy/overlays/pods-per-epic"
AGENTS = "heddle-agents"
# The two ways to run workers are its overlays.
BASE = "deploy/base"

folders = pytest.mark.parametrize("folder", FOLDERS)
overlays = pytest.mark.parametrize("folder", [each for each in FOLDERS if each != BASE])


def workloads(folder: str) -> list[Manifest]:
    """Returns everything that makes pods; the template of epics' pods has the form of the others."""
    found = [each for each in render(ROOT / folder) if each["kind"] in {"Deployment", "StatefulSet"}]
    if folder == PODS:
        found.append({"metadata": {"name": "heddle-worker"}, "spec": {"template": epic_pod()}})
    return found


def epic_pod() -> Manifest:
    """Returns the pod of an epic that asks for nothing special."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.yaml"
        file.write_text(named(PODS, "ConfigMap", "heddle-pod-template")["data"]["template.yaml"])
        return Template.read(file).manifest(PlaceSpec(PlaceKey("plan-abcde", "search", 1)))


def containers(folder: str) -> Iterator[tuple[Manifest, Manifest]]:
    """Yields each container together with the specification of its pod."""
    for workload in workloads(folder):
        pod = workload["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield pod, container


def ours(folder: str) -> Iterator[Manifest]:
    return (container for _, container in containers(folder) if container["image"].startswith("heddle:"))


def named(folder: str, kind: str, name: str, namespace: str = "heddle") -> Manifest:
    (found,) = (
        each
        for each in render(ROOT / folder)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
        and each["metadata"].get("namespace", namespace) == namespace
    )
    return found


@folders
def test_manifests_are_valid(folder: str) -> None:
    """Every manifest passes the strict Kubernetes schema."""
    manifests = render(ROOT / folder)
    check(manifests)
    assert {"Deployment", "Service"} <= {each["kind"] for each in manifests}


@folders
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to compare with")
def test_renders_as_kubectl(folder: str) -> None:
    """The small renderer and kustomize give the same manifests."""
    assert ordered(render(ROOT / folder)) == ordered(rendered_by_kubectl(ROOT / folder))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), "two"),
        (("spec", "replica"), 2),
        (("spec", "selector"), {"matchLabel": {}}),
        (("spec", "template", "spec", "containers"), [{"image": "heddle"}]),
    ],
)
def test_broken_manifest_is_refused(path: tuple[str, ...], value: object) -> None:
    """A wrong type, misspelled keys and a missing name are each found."""
    broken = copy.deepcopy(named("deploy/base", "Deployment", "heddle-scheduler"))
    place: Any = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ManifestError, match="Deployment/heddle-scheduler"):
        check([broken])


def test_duplicate_manifest_is_refused() -> None:
    """Two manifests with the same kind and name are refused."""
    service = named("deploy/base", "Service", "heddle-ui")
    with pytest.raises(ManifestError, match="twice"):
        check([service, service])


@pytest.mark.parametrize(
    ("kustomization", "complaint"),
    [
        ("resources: [a.yaml]\nhelmCharts: []\n", "helmCharts"),
        ("resources: [a.yaml]\nlabels: [{pairs: {a: b}, includeSelectors: true}]\n", "includeSelectors"),
        ("resources: [a.yaml]\nimages: [{name: a, digest: b}]\n", "digest"),
        ("resources: [a.yaml]\npatches: [{path: b.yaml, target: {}}]\n", "target"),
        ("resources: [a.yaml]\npatches: [{path: missing.yaml}]\n", "does not exist"),
        ("resources: [a.yaml]\npatches: [{path: list.yaml}]\n", "maps only"),
        ("resources: [pod.yaml]\npatches: [{path: container.yaml}]\n", "no container b"),
        ("resources: [secret.yaml]\n", "add Secret"),
    ],
)
def test_unknown_feature_is_refused(tmp_path: Path, kustomization: str, complaint: str) -> None:
    """The renderer refuses features that it does not support instead of guessing."""
    (tmp_path / "a.yaml").write_text("{kind: Service, metadata: {name: a}}")
    (tmp_path / "missing.yaml").write_text("{kind: Service, metadata: {name: b}, spec: {}}")
    (tmp_path / "list.yaml").write_text("{kind: Service, metadata: {name: a}, spec: {ports: [{port: 1}]}}")
    for file, container in (("pod.yaml", "a"), ("container.yaml", "b")):
        pod = f"{{kind: Deployment, metadata: {{name: a}}, spec: {{containers: [{{name: {container}}}]}}}}"
        (tmp_path / file).write_text(pod)
    (tmp_path / "secret.yaml").write_text("{kind: Secret, metadata: {name: a}}")
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    with pytest.raises(ManifestError, match=complaint):
        render(tmp_path)


@folders
def test_containers_have_no_privileges(folder: str) -> None:
    """Containers run unprivileged on a read-only root, and all but a sandbox's with a profile."""
    for pod, container in containers(folder):
        assert pod["securityContext"]["runAsNonRoot"], container["name"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        calls_kubernetes = folder == PODS and container["name"] == "scheduler"
        assert pod["automountServiceAccountToken"] is calls_kubernetes
        holds_agents = folder == WRITE_BOUNDARY and container["name"] == "agent"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            **(UNCONFINED if holds_agents else {}),
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


def test_a_worker_without_the_wanted_sandbox_does_not_start() -> None:
    """The write boundary requires a sandbox, and its namespace permits one."""
    settings = named(WRITE_BOUNDARY, "ConfigMap", "heddle-settings")["data"]
    assert settings["HEDDLE_SANDBOX"] == "required"
    labels = named(WRITE_BOUNDARY, "Namespace", "heddle")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


@folders
def test_user_is_the_images(folder: str) -> None:
    """Pods run as the user that the image defines."""
    image = (ROOT / "deploy" / "Containerfile").read_text()
    assert f"useradd --uid {USER} " in image
    assert f"\nUSER {USER}:{USER}\n" in image
    for pod, container in containers(folder):
        if container["image"].startswith("heddle:"):
            assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}


@folders
def test_every_service_is_probed(folder: str) -> None:
    """Each of our containers has all three probes, on the port where it listens."""
    seen = set()
    for container in ours(folder):
        (service,) = container["args"]
        assert (ROOT / service).is_dir()
        seen.add(service)
        (port,) = container["ports"]
        environment = {each["name"]: each.get("value") for each in container["env"]}
        assert environment["HEDDLE_LISTEN"] == f"0.0.0.0:{port['containerPort']}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if service == "ui_svc":
                assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
            else:
                # Kubernetes' gRPC probes do not speak TLS.
                assert container[probe]["tcpSocket"] == {"port": port["containerPort"]}
    workers = set() if folder == BASE else {"worktree_svc", "agent_svc"}
    assert seen == {"scheduler_svc", "ui_svc"} | workers


@folders
def test_settings_are_read_by_the_code(folder: str) -> None:
    """The ConfigMap parses, contains only existing settings, and lists all workers."""
    data = named(folder, "ConfigMap", "heddle-settings")["data"]
    known = {f"HEDDLE_{field.upper()}" for field in Settings.model_fields}
    assert set(data) <= known
    settings = Settings.read({name: value for name, value in data.items() if "TLS" not in name})
    sets = [each for each in render(ROOT / folder) if each["metadata"]["name"] == "heddle-worker"]
    replicas = sum(each["spec"]["replicas"] for each in sets if each["kind"] == "StatefulSet")
    assert (replicas > 0) == (folder != BASE)
    assert [worker.name for worker in settings.workers] == [f"heddle-worker-{n}" for n in range(replicas)]
    for worker in settings.workers:
        assert worker.worktree == f"{worker.name}.heddle-worker:7401"
        assert worker.agent == f"{worker.name}.heddle-worker:7402"


@folders
def test_every_service_has_its_own_certificate(folder: str) -> None:
    """Each pod mounts the certificate of its own identity where the settings name it, and no other."""
    data = named(folder, "ConfigMap", "heddle-settings")["data"]
    mounted = {Path(data[name]).parent for name in ("HEDDLE_TLS_CERT", "HEDDLE_TLS_KEY", "HEDDLE_TLS_CA")}
    for workload in workloads(folder):
        pod = workload["spec"]["template"]["spec"]
        if not any(container["image"].startswith("heddle:") for container in pod["containers"]):
            continue
        secrets = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
        assert secrets == [f"{workload['metadata']['name']}-tls"]
        for container in pod["containers"]:
            paths = {Path(each["mountPath"]) for each in container["volumeMounts"] if each["name"] == "tls"}
            assert paths == mounted


@overlays
def test_agents_are_stopped_before_their_pod(folder: str) -> None:
    """Kubernetes waits longer for a worker than the worker waits for its agents."""
    grace = float(named(folder, "ConfigMap", "heddle-settings")["data"]["HEDDLE_STOP_GRACE"])
    pods = [each for each in workloads(folder) if each["metadata"]["name"] == "heddle-worker"]
    assert pods
    for pod in pods:
        assert pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 2 * grace


@folders
def test_only_the_scheduler_knows_the_database(folder: str) -> None:
    """Only the scheduler gets the database's address, from a Secret outside this repository."""
    holders = [
        container["args"]
        for container in ours(folder)
        if any(each["name"] == "HEDDLE_DATABASE_URL" for each in container["env"])
    ]
    assert holders == [["scheduler_svc"]]
    assert not [each for each in render(ROOT / folder) if each["kind"] == "Secret"]


@folders
def test_only_the_scheduler_calls_workers(folder: str) -> None:
    """All traffic is denied by default, and workers accept only scheduler pods."""
    assert named(folder, "NetworkPolicy", "heddle-default")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
    }
    (rule,) = named(folder, "NetworkPolicy", "heddle-worker")["spec"]["ingress"]
    (source,) = rule["from"]
    scheduler = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "heddle-scheduler"}}}
    assert source == scheduler
    if folder == PODS:
        deny = named(PODS, "NetworkPolicy", "heddle-default", AGENTS)["spec"]
        assert deny == {"podSelector": {}, "policyTypes": ["Ingress"]}
        (rule,) = named(PODS, "NetworkPolicy", "heddle-worker", AGENTS)["spec"]["ingress"]
        (source,) = rule["from"]
        of_heddle = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "heddle"}}}
        assert source == scheduler | of_heddle


def test_the_scheduler_may_only_make_pods_for_agents() -> None:
    """The scheduler may create, see and delete pods of the agents' namespace, and nothing else in the cluster."""
    assert named(PODS, "Role", "heddle-pods", AGENTS)["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]}
    ]
    binding = named(PODS, "RoleBinding", "heddle-pods", AGENTS)
    account = {"kind": "ServiceAccount", "name": "heddle-scheduler", "namespace": "heddle"}
    assert (binding["roleRef"]["name"], binding["subjects"]) == ("heddle-pods", [account])
    roles = [each for each in render(ROOT / PODS) if "Role" in each["kind"]]
    assert len(roles) == 2
    users = [
        workload["metadata"]["name"]
        for workload in workloads(PODS)
        if workload["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    ]
    assert users == ["heddle-scheduler"]


def test_the_pod_of_an_epic_is_valid() -> None:
    """The pod passes the strict Kubernetes schema, is in the agents' namespace, and has settings that the code reads."""
    pod = epic_pod()
    check([pod])
    assert pod["metadata"]["namespace"] == AGENTS
    data = named(PODS, "ConfigMap", "heddle-pods", AGENTS)["data"]
    assert set(data) <= {f"HEDDLE_{field.upper()}" for field in Settings.model_fields}
    assert Settings.read({name: value for name, value in data.items() if "TLS" not in name}).slots == 1
    for container in pod["spec"]["containers"]:
        assert container["envFrom"] == [{"configMapRef": {"name": "heddle-pods"}}]
    # Nothing but its data is on a disk, and that is gone with the pod.
    kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
    assert kinds == {"secret", "emptyDir"}


def test_the_template_is_where_the_scheduler_reads_it() -> None:
    """The scheduler mounts the template at the path of its setting, and follows its changes."""
    path = Path(named(PODS, "ConfigMap", "heddle-settings")["data"]["HEDDLE_POD_TEMPLATE"])
    pod = named(PODS, "Deployment", "heddle-scheduler")["spec"]["template"]["spec"]
    (scheduler,) = pod["containers"]
    (mount,) = (each for each in scheduler["volumeMounts"] if each["mountPath"] == str(path.parent))
    # The file of a subPath would stay as it was.
    assert "subPath" not in mount
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    data = named(PODS, "ConfigMap", volume["configMap"]["name"])["data"]
    assert set(data) == {path.name}


@folders
def test_a_scheduler_survives_a_drained_node(folder: str) -> None:
    """There are at least two schedulers, and an eviction leaves at least one."""
    assert named(folder, "Deployment", "heddle-scheduler")["spec"]["replicas"] >= 2
    assert named(folder, "PodDisruptionBudget", "heddle-scheduler")["spec"]["minAvailable"] == 1
