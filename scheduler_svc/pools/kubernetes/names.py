"""Names and labels of pods: from an epic to its pod, and back."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from scheduler_svc.pools.pool import PlaceKey

# A pod's name is also its host name, and the name of its worker.
_LONGEST: Final = 63
_HASH: Final = 8

# Who made a pod. Together with the template's instance, it finds all pods of this installation.
MANAGED_BY: Final = ("app.kubernetes.io/managed-by", "heddle")
INSTANCE: Final = "app.kubernetes.io/instance"

# The annotation with the place of a pod; labels are for people, and may be shortened.
_PLACE: Final = "heddle/place"

_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def pod_name(key: PlaceKey) -> str:
    """Returns heddle-RUN-EPIC-GENERATION. If that is too long or no valid name, it is shortened and has a hash."""
    plain = f"heddle-{key.run}-{key.epic}-{key.generation}"
    if len(plain) <= _LONGEST and re.fullmatch(r"[a-z0-9-]+", plain):
        return plain
    tail = f"-{_digest(f'{key.run}/{key.epic}')}-{key.generation}"
    head = re.sub(r"[^a-z0-9]+", "-", f"heddle-{key.run}-{key.epic}".lower())
    return head[: _LONGEST - len(tail)].rstrip("-") + tail


def labels_of(key: PlaceKey) -> dict[str, str]:
    """Returns the labels by which people find an epic's pods."""
    return {
        MANAGED_BY[0]: MANAGED_BY[1],
        "heddle/run": _label(key.run),
        "heddle/epic": _label(key.epic),
        "heddle/generation": str(key.generation),
    }


def annotations_of(key: PlaceKey) -> dict[str, str]:
    """Returns the annotations from which `key_of` reads the place."""
    return {_PLACE: f"{key.run}/{key.epic}/{key.generation}"}


def key_of(pod: Mapping[str, Any]) -> PlaceKey | None:
    """Returns the place that a pod is; None if it is none."""
    run, _, rest = (pod["metadata"].get("annotations") or {}).get(_PLACE, "").partition("/")
    epic, _, generation = rest.partition("/")
    return PlaceKey(run, epic, int(generation)) if generation.isdecimal() else None


def key_of_worker(worker: str, run: str, epic: str) -> PlaceKey | None:
    """Returns the place of an epic whose pod has that name; None if it is no pod of the epic."""
    generation = worker.rpartition("-")[2]
    if not (generation.isascii() and generation.isdecimal()):
        return None
    key = PlaceKey(run, epic, int(generation))
    return key if pod_name(key) == worker else None


def _label(value: str) -> str:
    if _LABEL.fullmatch(value):
        return value
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', value)[:40].strip('-')}-{_digest(value)}".strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]
