"""Refs that ended runs have left at the remote are removed from it, if nothing needs them."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName
from tests.support.repositories import git
from worktree_svc.git import refs
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.waiting_processes import WaitingProcesses
from worktree_svc.projects import claims, remote_refs, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.projects.repository import Project

OLD, NEW = RunName("old"), RunName("new")
MERGED, FAILED, EXTENDED, OTHER = (OLD.epic(key) for key in ("merged", "failed", "extended", "other"))


def work(project: Project, epic: EpicName, base: str) -> str:
    """Has one commit of an epic accepted at its place; returns the commit."""
    claims.keep(project, epic, claims.take(project, epic, 1, ""))
    return extend(project, epic, base)


def extend(project: Project, epic: EpicName, base: str) -> str:
    made = commit(project, base, str(epic))
    claims.accept(project, epic, 1, made)
    return made


def commit(project: Project, parent: str, text: str) -> str:
    tree = project.git.text("rev-parse", f"{parent}^{{tree}}")
    return project.git.text("commit-tree", "-p", parent, tree, stdin=text.encode())


def listed(remote: Path) -> set[str]:
    return set(git(remote, "for-each-ref", "--format=%(refname)").split())


def of(epic: EpicName) -> set[str]:
    return {refs.claim_ref(epic), refs.accepted_ref(epic), refs.branch_ref(epic.branch)}


def test_old_refs_leave_the_remote_and_the_epic_can_continue(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged epics lose all refs, others none that has their work; what moves meanwhile stays; a remote that is away loses nothing.

    An epic that continues afterwards has its earlier commits, with what people have added to its branch.
    """
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    url, base = f"file://{remote}", git(remote, "rev-parse", "trunk")
    folders = PrivateFolders(tmp_path / "home" / "repositories", WaitingProcesses())
    mirrors = Mirrors(folders, RepositoryLocks())
    mirrors.update(url, "")
    project = repository.find(folders, url)
    made = {epic: work(project, epic, base) for epic in (MERGED, FAILED, EXTENDED, OTHER, NEW.epic("merged"))}
    git(remote, "update-ref", refs.branch_ref(OLD.branch), made[MERGED])
    git(remote, "update-ref", "refs/heads/theirs", made[EXTENDED])
    theirs = commit(project, made[EXTENDED], "by a person")
    project.git.text("push", "origin", f"{theirs}:{refs.branch_ref(EXTENDED.branch)}")
    # No branch has this work any more.
    git(remote, "update-ref", "-d", refs.branch_ref(OTHER.branch))
    everything = listed(remote)

    away = remote.with_name("away")
    remote.rename(away)
    with pytest.raises(HeddleError):
        mirrors.remove_old_refs(url, [OLD])
    away.rename(remote)
    assert listed(remote) == everything

    listing = remote_refs._listed

    def move_meanwhile(project: Project) -> dict[str, str]:
        before = listing(project)
        git(remote, "update-ref", refs.branch_ref(MERGED.branch), theirs)
        return before

    monkeypatch.setattr(remote_refs, "_listed", move_meanwhile)
    done = mirrors.remove_old_refs(url, [OLD])
    assert set(done.kept) == {refs.branch_ref(MERGED.branch)}
    monkeypatch.setattr(remote_refs, "_listed", listing)
    git(remote, "update-ref", refs.branch_ref(MERGED.branch), made[MERGED])
    assert mirrors.remove_old_refs(url, [OLD]).removed == 1
    gone = of(MERGED) | {
        ref(epic) for epic in (FAILED, EXTENDED) for ref in (refs.claim_ref, refs.accepted_ref)
    }
    assert listed(remote) == everything - gone
    assert mirrors.remove_old_refs(url, [OLD]) == (0, {})

    for epic in (MERGED, FAILED, EXTENDED):
        known = pb.KnownBranch(branch=epic.branch, commit=made[epic], elsewhere=True)
        mirrors.restore(url, [known])
        at = refs.read(project.git, refs.branch_ref(epic.branch))
        assert at == [theirs if epic == EXTENDED else made[epic]]
        claims.keep(project, epic, claims.take(project, epic, 2, made[epic]))
        again = commit(project, made[epic], "again")
        claims.accept(project, epic, 2, again)
        assert git(remote, "rev-parse", refs.accepted_ref(epic)) == again


def test_a_remote_that_forbids_deletions_keeps_its_refs(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is reported for each ref, and is no error to try again for."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    url = f"file://{remote}"
    folders = PrivateFolders(tmp_path / "home" / "repositories", WaitingProcesses())
    mirrors = Mirrors(folders, RepositoryLocks())
    mirrors.update(url, "")
    work(repository.find(folders, url), MERGED, git(remote, "rev-parse", "trunk"))
    hook = remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\ncase $3 in 0*) exit 1;; esac\n")
    hook.chmod(0o755)
    done = mirrors.remove_old_refs(url, [OLD])
    assert done.removed == 0
    assert set(done.kept) == {refs.claim_ref(MERGED), refs.accepted_ref(MERGED)}
    assert all("hook declined" in why for why in done.kept.values())
