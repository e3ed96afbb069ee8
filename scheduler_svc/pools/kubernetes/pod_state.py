"""What the state of a pod means for the epic that it is the place of."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from heddle.config import WorkerAddress
from scheduler_svc.pools.pool import Answer, Gone, Ready, Waiting

Pod: TypeAlias = Mapping[str, Any]

# The name for which the certificate of all pods is valid: their addresses are not known before they exist.
TLS_NAME: Final = "heddle-worker"

# A container's image cannot be had, also when the kubelet has tried again.
_NO_IMAGE: Final = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
# Such as a Secret that does not exist: the operator can add it.
_NO_CONFIG: Final = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "RunContainerError",
}
# Restarts of a container that fails at once each time; the kubelet then pauses for minutes.
_RESTARTS: Final = 5

# Reasons of a failed pod for which the node or the cluster is to blame.
_NODE: Final = {
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "Preempting",
    "Shutdown",
    "Terminated",
    "UnexpectedAdmissionError",
}
# "OutOfcpu", "OutOfmemory", …: the node had less room than the scheduler believed.
_NO_ROOM: Final = "OutOf"
# In the message of an eviction: the pod used more disk than its limit, as it would elsewhere.
_OVER_LIMIT: Final = "exceeds"


def state_of(pod: Pod, ports: tuple[int, int], *, placed: bool) -> Answer:
    """Returns the state of a place. `ports` are those of worktree_svc and agent_svc.

    `placed`: the worker was ready before. A container that restarts is then no reason to wait: its worker is
    unreachable meanwhile, as any worker that restarts.
    """
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in {"Failed", "Succeeded"}:
        return end_of(pod)
    containers = status.get("containerStatuses") or []
    for container in (*(status.get("initContainerStatuses") or []), *containers):
        if gone := _hopeless(container):
            return gone
    address = status.get("podIP")
    if status.get("phase") == "Running" and address and (placed or _is_ready(status)):
        return Ready(_worker(pod["metadata"]["name"], address, ports))
    return Waiting(_waits_for(status))


def end_of(pod: Pod) -> Gone:
    """Returns why a pod ended, or was deleted, as far as its last state says."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    disruption = _condition(status, "DisruptionTarget")
    message = status.get("message") or disruption.get("message") or ""
    if status.get("phase") in {"Failed", "Succeeded"}:
        reason = status.get("reason") or disruption.get("reason") or ""
        lost = reason in _NODE or reason.startswith(_NO_ROOM) or bool(disruption)
        if lost and _OVER_LIMIT not in message:
            return Gone(_joined(f"pod {name} was lost", reason, message), failed=False)
        ends = ", ".join(_exits(status.get("containerStatuses") or []))
        return Gone(_joined(f"pod {name} failed", reason, message or ends), failed=True)
    return Gone(
        _joined(f"pod {name} was deleted", disruption.get("reason", ""), disruption.get("message", "")),
        failed=False,
    )


def _hopeless(container: Pod) -> Gone | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    name = container["name"]
    if reason in _NO_IMAGE:
        what = f"the image {container.get('image', '')} of container {name} cannot be pulled"
        return Gone(_joined(what, reason, message), failed=True)
    if reason == "CrashLoopBackOff" and container.get("restartCount", 0) >= _RESTARTS:
        last = ", ".join(_exits([container]))
        what = f"container {name} ended {container['restartCount']} times"
        return Gone(_joined(what, reason, last or message), failed=True)
    return None


def _waits_for(status: Pod) -> str:
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        if scheduled.get("reason") == "SchedulingGated":
            return _joined("the pod waits to be admitted", "SchedulingGated", scheduled.get("message", ""))
        what = "no node of the cluster can take the pod"
        return _joined(what, scheduled.get("reason", ""), scheduled.get("message", ""))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _NO_CONFIG | {"CrashLoopBackOff"}:
            what = f"container {container['name']} does not start"
            return _joined(what, waiting["reason"], waiting.get("message", ""))
    has_node = scheduled.get("status") == "True" or status.get("phase") == "Running"
    return "the pod starts" if has_node else "the pod waits for a node"


def _worker(name: str, address: str, ports: tuple[int, int]) -> WorkerAddress:
    host = f"[{address}]" if ":" in address else address
    return WorkerAddress(name, f"{host}:{ports[0]}", f"{host}:{ports[1]}", TLS_NAME)


def _is_ready(status: Pod) -> bool:
    return bool(_condition(status, "Ready").get("status") == "True")


def _condition(status: Pod, kind: str) -> Pod:
    """Returns a condition; empty if the pod does not have it, or a disruption that is not true."""
    for each in status.get("conditions") or []:
        if each.get("type") == kind and (kind != "DisruptionTarget" or each.get("status") == "True"):
            found: Pod = each
            return found
    return {}


def _exits(containers: Iterable[Pod]) -> Iterable[str]:
    for each in containers:
        ended = (each.get("state") or {}).get("terminated") or (each.get("lastState") or {}).get("terminated")
        if ended:
            yield f"{each['name']}: {ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"


def _joined(what: str, reason: str, message: str) -> str:
    detail = ": ".join(part for part in (reason, message) if part)
    return f"{what} ({detail})" if detail else what
