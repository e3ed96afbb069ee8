"""Renders the Kubernetes manifests and checks them against the Kubernetes schemas.

python -m tests.manifests                  checks every folder of deploy/
python -m tests.manifests deploy/base      checks that one
python -m tests.manifests --print FOLDER   prints what it renders

A cluster is fed by `kubectl apply --kustomize`. The checks must also run where
there is no kubectl, and no Python package offers kustomize, so this renders the
few features that deploy/ uses (resources, namespace, labels, images, and patches
that merge maps, containers and volumes) and refuses every other one instead of guessing. Where kubectl
is there, its rendering must be the same.
"""

import argparse
import copy
import json
import operator
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import kubernetes_validate
import yaml

Manifest: TypeAlias = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = (
    "deploy/base",
    "deploy/overlays/static-fleet",
    "deploy/overlays/local",
    "deploy/overlays/write-boundary",
    "deploy/overlays/pods-per-epic",
)

FEATURES: Final = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}
CLUSTER_WIDE: Final = {"Namespace"}
NAMESPACED: Final = {
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}

# Lists of a pod whose entries a patch merges by this key; it adds those that are new.
KEYED: Final = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath"}


class ManifestError(Exception):
    """A manifest cannot be rendered or is invalid; the message says which and why."""


def render(folder: Path) -> list[Manifest]:
    """Returns the manifests that the kustomization in `folder` describes."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(kustomization) - FEATURES
    if unknown:
        raise ManifestError(f"{folder}: this renderer does not know {', '.join(sorted(unknown))}")
    manifests: list[Manifest] = []
    for entry in kustomization.get("resources", []):
        path = folder / entry
        manifests += render(path) if path.is_dir() else _documents(path)
    for patch in kustomization.get("patches", []):
        _only(patch, {"path"}, f"{folder}: patches")
        for change in _documents(folder / patch["path"]):
            _merge(_target(manifests, change), change, str(folder / patch["path"]))
    for manifest in manifests:
        _transform(manifest, kustomization)
    return manifests


def check(manifests: list[Manifest]) -> None:
    """Raises ManifestError for the first manifest that the newest Kubernetes would reject."""
    names = [_identity(manifest) for manifest in manifests]
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"{name[0]}/{name[1]} is there twice")
    for manifest in manifests:
        try:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            raise ManifestError(f"{_named(manifest)}: {where}: {error.message}") from error


def rendered_by_kubectl(folder: Path) -> list[Manifest]:
    """Returns what kustomize itself renders; kubectl must be installed."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ManifestError(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return list(yaml.safe_load_all(done.stdout))


def ordered(manifests: list[Manifest]) -> list[Manifest]:
    """Returns the manifests, and the lists of each, in an order that is independent of the renderer."""
    found = sorted(copy.deepcopy(manifests), key=_identity)
    for pod in map(_pod, found):
        for holder in (pod, *pod.get("containers", [])):
            for name in KEYED:
                if name in holder:
                    holder[name].sort(key=operator.itemgetter(KEYED[name]))
    return found


def _documents(path: Path) -> Iterator[Manifest]:
    for document in yaml.safe_load_all(path.read_text()):
        # Copies values that YAML anchors share, so that a later change affects only one place.
        yield json.loads(json.dumps(document))


def _identity(manifest: Manifest) -> tuple[str, str, str]:
    """Returns what a cluster tells manifests apart by; those of one name in several namespaces differ."""
    return manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")


def _target(manifests: list[Manifest], change: Manifest) -> Manifest:
    for manifest in manifests:
        if _identity(manifest)[:2] == _identity(change)[:2]:
            return manifest
    raise ManifestError(f"a patch changes {_named(change)}, which does not exist")


def _merge(target: Manifest, change: Manifest, source: str) -> None:
    for key, value in change.items():
        if key in KEYED:
            _merge_entries(target.setdefault(key, []), value, key, source)
        elif isinstance(value, list) or value is None or key.startswith("$"):
            raise ManifestError(f"{source}: this renderer merges maps only, and {key} is none")
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value, source)
        else:
            target[key] = value


def _merge_entries(target: list[Manifest], change: list[Manifest], name: str, source: str) -> None:
    key = KEYED[name]
    for entry in change:
        same = [each for each in target if each[key] == entry[key]]
        if same:
            _merge(same[0], entry, source)
        elif name == "containers":
            raise ManifestError(f"{source}: there is no container {entry[key]} to change")
        else:
            target.append(entry)


def _named(manifest: Manifest) -> str:
    kind, name, _ = _identity(manifest)
    return f"{kind}/{name}"


def _transform(manifest: Manifest, kustomization: Manifest) -> None:
    kind = manifest["kind"]
    if kind not in CLUSTER_WIDE | NAMESPACED:
        raise ManifestError(f"add {kind} to CLUSTER_WIDE or NAMESPACED in {Path(__file__).name}")
    if kind in NAMESPACED and "namespace" in kustomization:
        manifest["metadata"]["namespace"] = kustomization["namespace"]
    for labels in kustomization.get("labels", []):
        _only(labels, {"pairs"}, "labels")
        manifest["metadata"].setdefault("labels", {}).update(labels["pairs"])
    for image in kustomization.get("images", []):
        _only(image, {"name", "newName", "newTag"}, "images")
        for container in _containers(manifest):
            name, _, tag = container["image"].partition(":")
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def _pod(manifest: Manifest) -> Manifest:
    """Returns the specification of the pods that a manifest makes; empty if it makes none."""
    pod: Manifest = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return pod


def _containers(manifest: Manifest) -> list[Manifest]:
    pod = _pod(manifest)
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def _only(entry: Manifest, known: set[str], where: str) -> None:
    unknown = set(entry) - known
    if unknown:
        raise ManifestError(f"{where}: this renderer does not know {', '.join(sorted(unknown))}")


def main() -> int:
    """Runs the command line above; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", dest="show")
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / folder for folder in FOLDERS])
    arguments = parser.parse_args()
    compare = shutil.which("kubectl") is not None
    try:
        for folder in arguments.folders:
            manifests = render(folder)
            check(manifests)
            if compare and ordered(manifests) != ordered(rendered_by_kubectl(folder)):
                raise ManifestError(f"{folder}: kubectl kustomize renders it differently")  # noqa: TRY301 (reported as the others)
            if arguments.show:
                print(yaml.safe_dump_all(manifests, sort_keys=False), end="")
            else:
                note = "the same by kubectl" if compare else "kubectl is not here to compare with"
                print(f"{folder}: {len(manifests)} manifests are valid; {note}")
    except ManifestError as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
