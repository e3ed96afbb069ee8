"""The template of pods: what the operator decides about them, in one file."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import yaml

from scheduler_svc.pools.kubernetes import names
from scheduler_svc.pools.pool import PlaceSpec

Manifest: TypeAlias = dict[str, Any]

# The containers of a worker, and the ports of the same names.
CONTAINERS: Final = ("worktree", "agent")

# The one in which agents and checks run.
_AGENT: Final = "agent"

_KEYS: Final = {"pod", "images", "labels"}


class TemplateError(Exception):
    """The file is not a template, or cannot give an epic what it needs; the message says what to do."""


@dataclass(frozen=True)
class Image:
    """An image that has several kinds of agents."""

    agents: frozenset[str]
    image: str


@dataclass(frozen=True)
class Template:
    """The template: a pod, its images by kind of agent, and changes for the labels that plans may ask for."""

    pod: Manifest
    images: tuple[Image, ...]
    # By KEY=VALUE.
    labels: Mapping[str, Manifest]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a template; raises TemplateError."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TemplateError(f"{path} cannot be read: {error}") from error
        try:
            # Copies values that YAML anchors share, so that a change applies to one container only.
            return cls._of(json.loads(json.dumps(content, default=str)))
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}") from None

    @classmethod
    def _of(cls, content: Any) -> Self:
        _check(isinstance(content, dict) and "pod" in content, "it takes the keys pod, images and labels")
        unknown = ", ".join(sorted(map(str, set(content) - _KEYS)))
        _check(not unknown, f"{unknown} is not a key; it takes pod, images and labels")
        pod = content["pod"]
        _check(isinstance(pod, dict) and pod.get("kind") == "Pod", "pod must be a manifest of kind Pod")
        _check(bool((pod.get("metadata") or {}).get("namespace")), "pod.metadata.namespace must be set")
        images = content.get("images") or []
        _check(
            isinstance(images, list)
            and all(isinstance(each, dict) and set(each) == {"agents", "image"} for each in images),
            "images must be a list whose entries have the keys agents and image",
        )
        labels = content.get("labels") or {}
        _check(
            isinstance(labels, dict)
            and all("=" in str(key) and isinstance(change, dict) for key, change in labels.items()),
            "labels must have keys of the form KEY=VALUE, and changes of the pod as values",
        )
        template = cls(
            pod, tuple(Image(frozenset(each["agents"]), each["image"]) for each in images), dict(labels)
        )
        for name in CONTAINERS:
            template.port(name)
        return template

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def selector(self) -> str:
        """The labels by which this installation finds its pods."""
        return f"{names.MANAGED_BY[0]}={names.MANAGED_BY[1]},{names.INSTANCE}={self._instance}"

    @property
    def _instance(self) -> str:
        return str((self.pod["metadata"].get("labels") or {}).get(names.INSTANCE, "heddle"))

    def port(self, container: str) -> int:
        """Returns the port at which a container of the worker listens; raises TemplateError."""
        for each in (self.pod.get("spec") or {}).get("containers") or []:
            for port in each.get("ports") or []:
                if each.get("name") == container and port.get("name") == container:
                    return int(port["containerPort"])
        raise TemplateError(f"pod.spec.containers must have one named {container} with a port of that name")

    def manifest(self, spec: PlaceSpec) -> Manifest:
        """Returns the pod of an epic; raises TemplateError if it cannot be what the epic needs."""
        pod = copy.deepcopy(self.pod)
        for key, value in sorted(spec.labels.items()):
            wanted = f"{key}={value}"
            if wanted not in self.labels:
                offered = ", ".join(sorted(self.labels)) or "none"
                raise TemplateError(
                    f"no pod offers {wanted}; `labels` of the pod template has {offered}. Add it there"
                )
            merge(pod, self.labels[wanted])
        if image := self._image(spec.agents):
            merge(pod, {"spec": {"containers": [{"name": _AGENT, "image": image}]}})
        if spec.resources:
            _request(pod, spec.resources)
        metadata = pod["metadata"]
        metadata["name"] = names.pod_name(spec.key)
        metadata["labels"] = {
            names.INSTANCE: self._instance,
            **(metadata.get("labels") or {}),
            **names.labels_of(spec.key),
        }
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **names.annotations_of(spec.key)}
        return pod

    def _image(self, agents: frozenset[str]) -> str:
        """Returns the first image with these kinds of agents; empty: that of the pod, which has all others."""
        needed = agents & frozenset(kind for each in self.images for kind in each.agents)
        if not needed:
            return ""
        for each in self.images:
            if needed <= each.agents:
                return each.image
        raise TemplateError(
            f"no image has {' and '.join(sorted(needed))}, which the tasks of one epic need; add one to `images` of"
            " the pod template"
        )


def _request(pod: Manifest, resources: Mapping[str, str]) -> None:
    """Makes the container of agents request resources, and limits it to them.

    Its CPU is only limited if the template limits it: an idle CPU of the node would be wasted.
    """
    agent = next(each for each in pod["spec"]["containers"] if each.get("name") == _AGENT)
    limited = ((agent.get("resources") or {}).get("limits") or {}).keys()
    limits = {name: value for name, value in resources.items() if name != "cpu" or name in limited}
    agent["resources"] = agent.get("resources") or {}
    for key, values in (("requests", dict(resources)), ("limits", limits)):
        agent["resources"][key] = {**(agent["resources"].get(key) or {}), **values}


def merge(target: Manifest, change: Manifest) -> None:
    """Applies a change: maps are merged, entries of lists by their name, and entries without a name are added."""
    for key, value in change.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            merge(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            _merge_lists(present, value)
        else:
            target[key] = copy.deepcopy(value)


def _merge_lists(target: list[Any], change: list[Any]) -> None:
    for entry in change:
        same = [
            each
            for each in target
            if isinstance(each, dict)
            and isinstance(entry, dict)
            and each.get("name") == entry.get("name", "")
        ]
        if same:
            merge(same[0], entry)
        else:
            target.append(copy.deepcopy(entry))


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise TemplateError(message)
