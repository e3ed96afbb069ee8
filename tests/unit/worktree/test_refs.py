"""Plain refs are read from their files, all others by git."""

from pathlib import Path

from tests.support.repositories import git, make_repository
from worktree_svc.git import refs
from worktree_svc.git.process.command import Git


def test_every_kind_of_ref_is_read_as_git_reads_it(tmp_path: Path) -> None:
    """Loose, packed, moved, deleted and symbolic refs, folders and lookalike names are read as by git."""
    project = make_repository(tmp_path / "project")
    first = git(project, "rev-parse", "HEAD")
    for name in ("packed", "moved", "deleted", "folder/in", "odd.name", "fix-g" + first[:10]):
        git(project, "branch", name)
    git(project, "pack-refs", "--all")
    git(project, "commit", "--quiet", "--allow-empty", "--message=More")
    second = git(project, "rev-parse", "HEAD")
    git(project, "branch", "--force", "moved")
    git(project, "branch", "loose")
    git(project, "branch", "--delete", "deleted", f"fix-g{first[:10]}")
    git(project, "symbolic-ref", "refs/heads/alias", "refs/heads/packed")
    # git would resolve this instead of the missing branch if any object of that name were requested.
    git(project, "tag", "refs/heads/missing")
    (project / ".git/refs/heads/broken").write_text("nonsense\n")
    (project / ".git/refs/heads/linked").symlink_to("loose")
    wanted = {
        "packed": first,
        "moved": second,
        "loose": second,
        "folder/in": first,
        "odd.name": first,
        "alias": first,
        "linked": second,
        **dict.fromkeys(
            ("deleted", "folder", "missing", "broken", "../heads/loose", "main.lock", f"fix-g{first[:10]}")
        ),
    }
    repository = Git(project / ".git", git_dir=project / ".git")
    found = refs.read(repository, *(refs.branch_ref(name) for name in wanted))
    assert dict(zip(wanted, found, strict=True)) == wanted


def test_an_update_that_would_change_nothing_is_recognized(tmp_path: Path) -> None:
    """A loose or packed ref with the commit needs no update; a symbolic, linked, broken or missing one does."""
    project = make_repository(tmp_path / "project")
    first = git(project, "rev-parse", "HEAD")
    git(project, "branch", "packed")
    git(project, "pack-refs", "--all")
    git(project, "branch", "loose")
    git(project, "symbolic-ref", "refs/heads/alias", "refs/heads/loose")
    (project / ".git/refs/heads/broken").write_text("nonsense\n")
    (project / ".git/refs/heads/linked").symlink_to("loose")
    repository = Git(project / ".git", git_dir=project / ".git")
    names = ("packed", "loose", "alias", "broken", "linked", "missing")
    exact = [name for name in names if refs.is_exactly(repository, refs.branch_ref(name), first)]
    assert exact == ["packed", "loose"]
    assert not refs.is_exactly(repository, "refs/heads/loose", "0" * 40)
