"""Names, templates and states of the pods of epics."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heddle.names import KEY
from scheduler_svc.pools.kubernetes.names import key_of, labels_of, pod_name
from scheduler_svc.pools.kubernetes.pod_state import end_of, state_of
from scheduler_svc.pools.kubernetes.template import Manifest, Template, TemplateError
from scheduler_svc.pools.pool import Gone, PlaceKey, PlaceSpec, Ready, Waiting

PORTS = (7401, 7402)
KEYS = st.builds(
    PlaceKey, st.from_regex(KEY, fullmatch=True), st.from_regex(KEY, fullmatch=True), st.integers(1, 9999)
)

TEMPLATE: Manifest = {
    "pod": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "agents", "labels": {"kueue.x-k8s.io/queue-name": "agents"}},
        "spec": {
            "tolerations": [{"key": "spot"}],
            "containers": [
                {"name": "worktree", "image": "heddle:1", "ports": [{"name": "worktree", "containerPort": 7401}]},
                {
                    "name": "agent",
                    "image": "heddle:1",
                    "ports": [{"name": "agent", "containerPort": 7402}],
                    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "8Gi"}},
                },
            ],
        },
    },
    "images": [
        {"agents": ["claude"], "image": "agents:claude"},
        {"agents": ["claude", "codex"], "image": "agents:both"},
    ],
    "labels": {
        "gpu=true": {
            "spec": {
                "runtimeClassName": "nvidia",
                "tolerations": [{"key": "gpu"}],
                "containers": [{"name": "agent", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
            }
        }
    },
}  # fmt: skip


def template(tmp_path: Path, content: Any = None) -> Template:
    file = tmp_path / "template.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content or TEMPLATE))
    return Template.read(file)


def spec(**more: Any) -> PlaceSpec:
    return PlaceSpec(PlaceKey("plan-abcde", "search", 1), **more)


def agent(pod: Manifest) -> Manifest:
    found: Manifest = next(each for each in pod["spec"]["containers"] if each["name"] == "agent")
    return found


@given(KEYS)
def test_every_name_is_valid(key: PlaceKey) -> None:
    """A pod's name is a host name and the key of a worker; its labels are valid, and its place can be read from it."""
    name = pod_name(key)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert KEY.fullmatch(name)
    for value in labels_of(key).values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value)
    annotations = {"heddle/place": f"{key.run}/{key.epic}/{key.generation}"}
    assert key_of({"metadata": {"annotations": annotations}}) == key


def test_names() -> None:
    """A name is readable; one that had to be changed has a hash, so that no two epics share it."""
    assert pod_name(PlaceKey("plan-abcde", "search", 2)) == "heddle-plan-abcde-search-2"
    similar = {pod_name(PlaceKey("plan-abcde", epic, 1)) for epic in ("search_1", "Search_1", "search-1")}
    assert len(similar) == 3
    long = {pod_name(PlaceKey("p" * 46, "e" * 62 + last, 10)) for last in "ab"}
    assert len(long) == 2
    assert all(name.endswith("-10") and len(name) == 63 for name in long)
    assert key_of({"metadata": {}}) is None


def test_a_pod_of_the_template(tmp_path: Path) -> None:
    """The pod is the template's, with the place's name and labels; the operator's labels stay."""
    pod = template(tmp_path).manifest(spec())
    assert pod["metadata"]["name"] == "heddle-plan-abcde-search-1"
    assert pod["metadata"]["labels"] == {
        "kueue.x-k8s.io/queue-name": "agents",
        "app.kubernetes.io/instance": "heddle",
        "app.kubernetes.io/managed-by": "heddle",
        "heddle/run": "plan-abcde",
        "heddle/epic": "search",
        "heddle/generation": "1",
    }
    assert key_of(pod) == spec().key
    assert pod["spec"] == TEMPLATE["pod"]["spec"]


def test_what_an_epic_asks_for(tmp_path: Path) -> None:
    """Labels apply the operator's changes, and agents choose the image."""
    found = template(tmp_path)
    pod = found.manifest(spec(labels={"gpu": "true"}))
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["tolerations"] == [{"key": "spot"}, {"key": "gpu"}]
    assert [each["name"] for each in pod["spec"]["containers"]] == ["worktree", "agent"]
    assert agent(pod)["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"},
    }
    for agents, image in (
        ({"command"}, "heddle:1"),
        ({"claude", "command"}, "agents:claude"),
        ({"claude", "codex"}, "agents:both"),
    ):
        assert agent(found.manifest(spec(agents=frozenset(agents))))["image"] == image
    # One epic's pod leaves the template as it is.
    assert found.pod == TEMPLATE["pod"]


def test_resources_of_an_epic_replace_those_of_the_template(tmp_path: Path) -> None:
    """Agents are limited to what they request, except for the CPU unless the template limits it."""
    found = template(tmp_path)
    wanted = {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"}
    pod = found.manifest(spec(resources=wanted, labels={"gpu": "true"}))
    assert agent(pod)["resources"] == {
        "requests": wanted,
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "2"},
    }
    assert "resources" not in pod["spec"]["containers"][0]
    limited = copy.deepcopy(TEMPLATE)
    limited["pod"]["spec"]["containers"][1]["resources"] = {"limits": {"cpu": "2"}}
    pod = template(tmp_path, limited).manifest(spec(resources={"cpu": "4"}))
    assert agent(pod)["resources"] == {"requests": {"cpu": "4"}, "limits": {"cpu": "4"}}
    assert found.pod == TEMPLATE["pod"]


def test_what_no_pod_offers(tmp_path: Path) -> None:
    """The error names what is missing, and where to add it."""
    found = template(tmp_path)
    with pytest.raises(TemplateError, match=r"no pod offers arch=arm.*has gpu=true\. Add it there"):
        found.manifest(spec(labels={"arch": "arm"}))
    other = copy.deepcopy(TEMPLATE) | {
        "images": [{"agents": ["claude"], "image": "a"}, {"agents": ["codex"], "image": "b"}]
    }
    with pytest.raises(TemplateError, match="no image has claude and codex"):
        template(tmp_path, other).manifest(spec(agents=frozenset({"claude", "codex"})))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[", "cannot be read"),
        ("a: 1", "it takes the keys pod, images and labels"),
        (TEMPLATE | {"image": "x"}, "image is not a key"),
        (TEMPLATE | {"pod": {"kind": "Deployment"}}, "kind Pod"),
        (TEMPLATE | {"pod": {"kind": "Pod", "metadata": {}}}, "namespace must be set"),
        (TEMPLATE | {"images": ["x"]}, "images must be a list"),
        (TEMPLATE | {"labels": {"gpu": {}}}, "labels must have keys of the form KEY=VALUE"),
        (TEMPLATE | {"pod": {"kind": "Pod", "metadata": {"namespace": "a"}}}, "must have one named worktree"),
    ],
)
def test_a_template_that_is_none(tmp_path: Path, content: Any, told: str) -> None:
    """Each error names the file and what it takes instead."""
    with pytest.raises(TemplateError, match=re.escape(told)) as raised:
        template(tmp_path, content)
    assert str(tmp_path / "template.yaml") in str(raised.value)
    with pytest.raises(TemplateError, match="cannot be read"):
        Template.read(tmp_path / "none.yaml")


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", **metadata}, "status": status}


def waiting(reason: str, message: str = "", restarts: int = 0) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    last = {"terminated": {"reason": "Error", "exitCode": 2}} if restarts else {}
    return {"name": "agent", "image": "x", "restartCount": restarts, "state": state, "lastState": last}


RUNNING = {"phase": "Running", "podIP": "10.0.0.1"}
IS_READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({}, "the pod waits for a node"),
        ({"conditions": [{"type": "PodScheduled", "status": "True"}]}, "the pod starts"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}]},
            "the pod waits to be admitted (SchedulingGated: gates)",
        ),
        (
            {"containerStatuses": [waiting("CreateContainerConfigError", 'secret "x" not found')]},
            'container agent does not start (CreateContainerConfigError: secret "x" not found)',
        ),
        ({"containerStatuses": [waiting("ErrImagePull", "toomanyrequests")]}, "container agent does not start (ErrImagePull: toomanyrequests)"),
        ({**RUNNING, "containerStatuses": [waiting("CrashLoopBackOff", restarts=4)]}, "container agent does not start (CrashLoopBackOff)"),
        (RUNNING, "the pod starts"),
    ],
)  # fmt: skip
def test_why_a_pod_waits(status: dict[str, Any], told: str) -> None:
    """What the operator can change, and what the cluster does by itself, is waited for with the reason."""
    assert state_of(pod(status), PORTS, placed=False) == Waiting(told)


def test_when_a_pod_is_ready() -> None:
    """A worker is ready with its pod; later, a container that restarts only makes it unreachable."""
    for address, host in (("10.0.0.1", "10.0.0.1"), ("fd00::1", "[fd00::1]")):
        found = state_of(pod(RUNNING | {"podIP": address, "conditions": IS_READY}), PORTS, placed=False)
        assert isinstance(found, Ready)
        assert (found.address.worktree, found.address.agent) == (f"{host}:7401", f"{host}:7402")
        assert found.address.tls_name == "heddle-worker"
    restarting = RUNNING | {"containerStatuses": [waiting("CrashLoopBackOff", restarts=1)]}
    assert isinstance(state_of(pod(restarting), PORTS, placed=True), Ready)


@pytest.mark.parametrize(
    ("status", "failed", "told"),
    [
        ({"phase": "Failed", "reason": "NodeLost"}, False, "pod a was lost (NodeLost)"),
        ({"phase": "Failed", "reason": "Evicted", "message": "exceeds the limit"}, True, "pod a failed (Evicted: exceeds the limit)"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, True, "pod a failed (DeadlineExceeded)"),
        (
            {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]},
            False,
            "pod a was lost (PreemptionByScheduler)",
        ),
        (
            {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "False", "reason": "x"}]},
            True,
            "pod a failed",
        ),
        (
            {"phase": "Succeeded", "containerStatuses": [{"name": "agent", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]},
            True,
            "pod a failed (agent: Completed, exit code 0)",
        ),
        ({"containerStatuses": [waiting("InvalidImageName")]}, True, "the image x of container agent cannot be pulled (InvalidImageName)"),
        ({"initContainerStatuses": [waiting("ImagePullBackOff")]}, True, "the image x of container agent cannot be pulled (ImagePullBackOff)"),
        (
            {**RUNNING, "containerStatuses": [waiting("CrashLoopBackOff", restarts=5)]},
            True,
            "container agent ended 5 times (CrashLoopBackOff: agent: Error, exit code 2)",
        ),
    ],
)  # fmt: skip
def test_why_a_pod_is_gone(status: dict[str, Any], failed: bool, told: str) -> None:
    """The cluster's doing uses no retry; what would happen to the next pod as well is a failure."""
    assert state_of(pod(status), PORTS, placed=True) == Gone(told, failed=failed)


def test_a_deleted_pod_is_gone() -> None:
    """A pod that is being deleted is gone at once, even if its node never confirms it."""
    found = pod(RUNNING | {"conditions": IS_READY}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert state_of(found, PORTS, placed=True) == Gone("pod a was deleted", failed=False)
    taint = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "m"}
    expected = Gone("pod a was deleted (DeletionByTaintManager: m)", failed=False)
    assert end_of(pod(RUNNING | {"conditions": [taint]})) == expected


def test_who_has_no_cluster_does_not_import_its_client() -> None:
    """The scheduler without a pool imports no client of Kubernetes, which is an extra."""
    code = "import sys, scheduler_svc.__main__; sys.exit('kubernetes_asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
