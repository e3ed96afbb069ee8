"""Two workers that are the place of one epic, one after the other: the remote refuses the earlier one."""

import subprocess
import threading
from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName
from tests.support.repositories import git
from worktree_svc.git import refs
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.waiting_processes import WaitingProcesses
from worktree_svc.projects import claims, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.projects.repository import Project

EPIC = EpicName("r1", "api")
BRANCH = "refs/heads/heddle/r1/epics/api"

# Holds the push of a given commit until the file exists.
HOOK = """#!/bin/sh
while read old new ref; do
  if [ "$new" = "$(cat held)" ]; then touch held.arrived; until [ -e held.go ]; do sleep 0.05; done; fi
done
exit 0
"""


@pytest.fixture
def places(tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """Mirrors of one remote on two workers."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    found = []
    for name in ("one", "two"):
        folders = PrivateFolders(tmp_path / name / "repositories", WaitingProcesses())
        Mirrors(folders, RepositoryLocks()).update(f"file://{remote}", "")
        found.append(repository.find(folders, f"file://{remote}"))
    return found


def take(project: Project, generation: int, head: str) -> None:
    claims.keep(project, EPIC, claims.take(project, EPIC, generation, head))


def commit(project: Project, parent: str, text: str) -> str:
    tree = project.git.text("rev-parse", f"{parent}^{{tree}}")
    return project.git.text("commit-tree", "-p", parent, tree, stdin=text.encode())


def refused(project: Project, generation: int, made: str) -> None:
    with pytest.raises(HeddleError) as caught:
        claims.accept(project, EPIC, generation, made)
    assert caught.value.reason == pb.ERROR_REASON_STALE_ATTEMPT


def test_a_late_commit_of_an_earlier_place_is_refused(places: list[Project], remote: Path) -> None:
    """The next generation continues from the last accepted commit, and nothing of the earlier place is accepted after it."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    first = commit(one, base, "first")
    claims.accept(one, EPIC, 1, first)
    claims.accept(one, EPIC, 1, first)
    assert git(remote, "rev-parse", BRANCH) == first
    take(two, 2, first)
    take(two, 2, first)
    refused(one, 1, commit(one, first, "late"))
    second = commit(two, first, "second")
    claims.accept(two, EPIC, 2, second)
    assert git(remote, "rev-parse", BRANCH) == second
    with pytest.raises(HeddleError, match="generation 2"):
        take(one, 1, first)


def test_a_place_that_is_back_does_not_accept_for_its_earlier_generation(
    places: list[Project], remote: Path
) -> None:
    """A worker that is the place again holds the new claim, with which a late call of the old generation does nothing."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    take(two, 2, "")
    take(one, 3, "")
    refused(one, 1, commit(one, base, "late"))
    refused(one, 4, commit(one, base, "early"))
    made = commit(one, base, "made")
    claims.accept(one, EPIC, 3, made)
    assert git(remote, "rev-parse", BRANCH) == made


def test_submitted_work_replaces_what_was_submitted_before(places: list[Project], remote: Path) -> None:
    """The remote keeps the newest work of an attempt, also if it does not contain the earlier one; repeating is harmless."""
    (one, _), ref = places, "refs/heddle/attempts/r1/api/one/1"
    base = git(remote, "rev-parse", "trunk")
    for text in ("first", "second"):
        made = commit(one, base, text)
        one.git.text("update-ref", ref, made)
        claims.submit(one, ref)
        claims.submit(one, ref)
        assert git(remote, "rev-parse", ref) == made


def test_a_push_that_is_under_way_while_the_claim_is_taken_is_refused_by_the_remote(
    places: list[Project], remote: Path
) -> None:
    """The remote itself compares the claim when the push of the earlier place is applied."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    late = commit(one, base, "late")
    (remote / "held").write_text(late)
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    problems: list[BaseException] = []

    def push() -> None:
        try:
            refused(one, 1, late)
        except BaseException as error:  # noqa: BLE001 (the main thread raises it)
            problems.append(error)

    pushing = threading.Thread(target=push)
    pushing.start()
    while not (remote / "held.arrived").exists():
        assert pushing.is_alive()
    take(two, 2, "")
    (remote / "held.go").touch()
    pushing.join()
    assert problems == []
    found = subprocess.run(
        ["git", "-C", remote, "rev-parse", "-q", "--verify", BRANCH], capture_output=True, check=False
    )
    assert found.returncode != 0


def test_work_that_was_never_recorded_is_set_back(places: list[Project], remote: Path) -> None:
    """A commit that reached the remote without being recorded is not the base of the next generation."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    first = commit(one, base, "first")
    claims.accept(one, EPIC, 1, first)
    claims.accept(one, EPIC, 1, commit(one, first, "unrecorded"))
    take(two, 2, first)
    assert git(remote, "rev-parse", BRANCH) == first


def test_an_unreachable_remote_is_a_fault_of_the_environment(places: list[Project], remote: Path) -> None:
    """While the remote is away, nothing is accepted and the same call works later."""
    one, _ = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    made = commit(one, base, "first")
    away = remote.rename(remote.with_name("away"))
    with pytest.raises(HeddleError) as caught:
        claims.accept(one, EPIC, 1, made)
    assert caught.value.reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
    away.rename(remote)
    claims.accept(one, EPIC, 1, made)
    assert git(remote, "rev-parse", BRANCH) == made


def test_two_disks_of_one_generation_do_not_both_accept(places: list[Project], remote: Path) -> None:
    """A worker that was replaced by another machine of the same name loses its claim to it, even in the same generation."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    take(two, 1, "")
    refused(one, 1, commit(one, base, "of the lost machine"))
    made = commit(two, base, "of the new machine")
    claims.accept(two, EPIC, 1, made)
    assert git(remote, "rev-parse", BRANCH) == made


def test_an_unrecorded_commit_of_the_same_place_is_replaced(places: list[Project], remote: Path) -> None:
    """If an answer of the remote is lost and the attempt ends, the next attempt's commit takes the place of the first."""
    one, _ = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    before = claims.held(one, EPIC)
    claims.accept(one, EPIC, 1, commit(one, base, "unrecorded"))
    assert before is not None
    claims.keep(one, EPIC, before)
    made = commit(one, base, "second")
    assert claims.accept(one, EPIC, 1, made).push_error == ""
    assert git(remote, "rev-parse", BRANCH) == made == git(remote, "rev-parse", refs.accepted_ref(EPIC))


def hook(remote: Path, text: str) -> None:
    file = remote / "hooks" / "update"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_branch_that_the_remote_refuses_does_not_keep_work_from_being_accepted(
    places: list[Project], remote: Path
) -> None:
    """A protected branch, or one that someone has moved, is reported; the accepted commit is at the remote all the same."""
    one, two = places
    base = git(remote, "rev-parse", "trunk")
    hook(remote, "case $1 in refs/heads/heddle/*) echo 'no such branches here' >&2; exit 1;; esac")
    take(one, 1, "")
    first = commit(one, base, "first")
    assert "no such branches" in claims.accept(one, EPIC, 1, first).push_error
    assert git(remote, "rev-parse", refs.accepted_ref(EPIC)) == first
    hook(remote, "exit 0")
    git(remote, "update-ref", BRANCH, base)
    second = commit(one, first, "second")
    assert "moved the branch" in claims.accept(one, EPIC, 1, second).push_error
    assert git(remote, "rev-parse", refs.accepted_ref(EPIC)) == second
    take(two, 2, second)
    assert claims.accept(two, EPIC, 2, commit(two, second, "third")).push_error


@pytest.mark.parametrize("rule", ["exit 1", "echo 'Permission to push denied' >&2; exit 1"])
def test_a_remote_that_allows_no_claims_says_so(places: list[Project], remote: Path, rule: str) -> None:
    """A rule of the remote, or the lack of rights, is no fault that passes: it is an error of its own."""
    hook(remote, rule)
    with pytest.raises(HeddleError, match="Allow the worker's account to push refs/heddle") as caught:
        claims.take(places[0], EPIC, 1, "")
    assert caught.value.reason == pb.ERROR_REASON_CLAIM_REFUSED


def test_a_remote_that_does_not_answer_is_a_fault_of_the_environment(
    places: list[Project], remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that takes too long is no failure of the task; if the remote has carried it out after all, that counts."""
    one, _ = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    made = commit(one, base, "first")
    file = remote / "hooks" / "pre-receive"
    file.write_text("#!/bin/sh\nuntil [ -e go ]; do sleep 0.05; done\n")
    file.chmod(0o755)
    monkeypatch.setattr(claims, "_PUSH_SECONDS", 1.0)
    with pytest.raises(HeddleError) as caught:
        claims.accept(one, EPIC, 1, made)
    assert caught.value.reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
    monkeypatch.setattr(claims, "_PUSH_SECONDS", 60.0)
    (remote / "go").touch()
    claims.accept(one, EPIC, 1, made)
    assert git(remote, "rev-parse", BRANCH) == made


def test_a_claim_that_someone_has_removed_is_made_again(places: list[Project], remote: Path) -> None:
    """Nothing is accepted without a claim; the place takes it again, on top of what was accepted."""
    one, _ = places
    base = git(remote, "rev-parse", "trunk")
    take(one, 1, "")
    first = commit(one, base, "first")
    claims.accept(one, EPIC, 1, first)
    git(remote, "update-ref", "-d", refs.claim_ref(EPIC))
    second = commit(one, first, "second")
    with pytest.raises(HeddleError, match="is no longer at the remote") as caught:
        claims.accept(one, EPIC, 1, second)
    assert caught.value.reason == pb.ERROR_REASON_WORKTREE_LOST
    assert claims.held(one, EPIC) is None
    take(one, 1, first)
    claims.accept(one, EPIC, 1, second)
    assert git(remote, "rev-parse", BRANCH) == second == git(remote, "rev-parse", refs.accepted_ref(EPIC))
