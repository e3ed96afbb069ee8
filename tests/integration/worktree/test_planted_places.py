"""The tests of places work: each planted defect is caught by one of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from heddle.errors import HeddleError
from tests.integration.worktree import test_claims, test_places
from tests.integration.worktree.test_claims import places
from tests.integration.worktree.test_places import workers
from tests.support.worktrees import Worker
from worktree_svc.git.process.command import Git, Output
from worktree_svc.projects import claims
from worktree_svc.projects.claims import Claim
from worktree_svc.projects.repository import Project

__all__ = ["places", "workers"]


def without_claim(patch: pytest.MonkeyPatch) -> None:
    """An acceptance compares the branch only."""

    def run(git: Git, *arguments: str, **options: object) -> Output:
        if arguments[0] == "push" and any("refs/heddle/accepted" in each for each in arguments):
            arguments = tuple(each for each in arguments if "refs/heddle/claim" not in each)
        return pushed(git, *arguments, **options)  # type: ignore[arg-type]  # as they were given

    pushed = Git.run
    patch.setattr(Git, "run", run)


def with_a_claim_that_does_not_move(patch: pytest.MonkeyPatch) -> None:
    """An acceptance names the claim in its lease, which git compares on the client only."""

    def extended(git: Git, before: Claim, claim: Claim) -> Claim:
        return claim if before.holder == claim.holder else written(git, before, claim)

    written = claims._extended
    patch.setattr(claims, "_extended", extended)


@pytest.mark.parametrize("plant", [without_claim, with_a_claim_that_does_not_move])
def test_an_acceptance_without_the_claim_is_noticed(
    places: list[Project],
    remote: Path,
    plant: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a claim that each acceptance moves, a push that is under way would be accepted after the epic has moved."""
    scenario = test_claims.test_a_push_that_is_under_way_while_the_claim_is_taken_is_refused_by_the_remote
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        scenario(places, remote)


async def test_an_acceptance_before_the_push_is_noticed(
    workers: tuple[Worker, Worker],
    remote: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that is accepted although its commit is only on the worker's disk could be lost with that disk."""

    def accept(*arguments: object) -> claims.Acceptance:
        try:
            return accepted(*arguments)  # type: ignore[arg-type]  # as they were given
        except HeddleError as error:
            return claims.Acceptance(error.message)

    accepted = claims.accept
    monkeypatch.setattr(claims, "accept", accept)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await test_places.test_acceptance_waits_for_the_remote(workers, remote)


async def test_a_generation_that_is_used_again_is_noticed(
    workers: tuple[Worker, Worker],
    remote: Path,
) -> None:
    """With the number of an earlier place, the remote could not tell that place's delayed calls from those of the new one."""
    with pytest.raises(pytest.fail.Exception):
        await test_places.delayed_call_is_refused(workers, remote, generations=(3, 3))
