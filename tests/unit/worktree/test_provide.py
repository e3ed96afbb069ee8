"""How provided files reach a worktree in which an agent has worked."""

from pathlib import Path

import pytest

from heddle.names import EpicName
from worktree_svc.projects.provisions import Provisions, provide
from worktree_svc.storage.worktree_store import WorktreePaths


@pytest.fixture(name="paths")
def _paths(tmp_path: Path) -> WorktreePaths:
    paths = WorktreePaths(EpicName("r-1", "e"), tmp_path / "worktrees" / "e")
    paths.worktree.mkdir(parents=True)
    return paths


def test_copies_and_links_replace_what_an_agent_left_in_their_place(
    paths: WorktreePaths, tmp_path: Path
) -> None:
    """Links of an agent, in place of a copy or of the folder above it, are replaced and not followed."""
    outside, source, shared = tmp_path / "outside", tmp_path / "source", tmp_path / "shared"
    outside.mkdir()
    shared.mkdir()
    (outside / "env").write_text("precious")
    source.write_text("secret")
    source.chmod(0o640)
    (paths.worktree / ".env").symlink_to(outside / "env")
    (paths.worktree / "certs").symlink_to(outside)
    (paths.worktree / "cache").symlink_to(outside)
    wanted = Provisions(copies={".env": source, "certs/env": source}, links={"cache/npm": shared})
    provide(paths, wanted)
    for path in (".env", "certs/env"):
        copy = paths.worktree / path
        assert (copy.read_text(), copy.is_symlink(), copy.stat().st_mode & 0o777) == ("secret", False, 0o640)
    assert (paths.worktree / "cache" / "npm").readlink() == shared
    assert [path.name for path in outside.iterdir()] == ["env"]
    assert (outside / "env").read_text() == "precious"


def test_a_source_that_became_a_link_is_not_copied(paths: WorktreePaths, tmp_path: Path) -> None:
    """A link that replaces a file, or a folder above it, after the copies were planned gives nothing away."""
    private, checkout = tmp_path / "private", tmp_path / "checkout"
    private.mkdir()
    (private / "key").write_text("private")
    checkout.mkdir()
    (checkout / "key").symlink_to(private / "key")
    (checkout / "certs").symlink_to(private)
    for source in (checkout / "key", checkout / "certs" / "key"):
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            provide(paths, Provisions(copies={"key": source}))
        assert not (paths.worktree / "key").exists()
