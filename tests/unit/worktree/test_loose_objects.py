"""The sizes of objects that git has just written, without a git process."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.repositories import git
from worktree_svc.git.process import loose_objects
from worktree_svc.git.process.command import Git


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_sizes_are_those_of_git(tmp_path: Path, kind: str) -> None:
    """Empty, small, large and incompressible objects have the size that git reports, loose or packed."""
    git(tmp_path, "init", "--quiet", f"--object-format={kind}", "project")
    project = tmp_path / "project"
    objects = project / ".git" / "objects"
    repository = replace(Git(project, git_dir=project / ".git"), objects=objects)
    made: dict[str, int] = {}
    for content in (b"", b"x", b"line\n" * 1_000_000, bytes(range(256)) * 999):
        command = ["git", "hash-object", "-w", "--stdin"]
        ran = subprocess.run(command, cwd=project, input=content, capture_output=True, check=True)
        made[ran.stdout.decode().strip()] = len(content)
    assert {name: loose_objects.size(objects, name) for name in made} == made
    git(project, "commit-tree", "-m", "x", git(project, "write-tree"))
    for name in made:
        git(project, "update-ref", f"refs/kept/{name}", name)
    git(project, "repack", "-adq")
    git(project, "prune-packed")
    assert {loose_objects.size(objects, name) for name in made} == {None}
    assert {name: repository.size(name) for name in made} == made
