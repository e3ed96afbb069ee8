"""The policy's decisions while model providers are unavailable."""

from dataclasses import replace

import pytest

from heddle import pb
from scheduler_svc.policy.actions import Action, PauseRun, StartTask
from scheduler_svc.policy.decision import decide, should_retry
from scheduler_svc.policy.snapshot import EpicView, ProviderView, RunView
from tests.support.scheduling import RUN, a_run, a_snapshot, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING

HELD = ProviderView("p", held=True)
IN_DOUBT = ProviderView("p", held=False)
TRIED = ProviderView("p", held=False, tried=True)
REFUSING = ProviderView("p", held=True, refusal="the API refused the credentials (401): log in.")


def by(provider: str, epic: EpicView) -> EpicView:
    """Returns the epic with its tasks set to an agent of this provider."""
    return replace(epic, tasks=tuple(replace(task, provider=provider) for task in epic.tasks))


def decided(provider: ProviderView, *runs: RunView, slots: int = 100) -> list[Action]:
    return decide(replace(a_snapshot(*runs, slots=slots), providers=(provider,)))


def started(actions: list[Action]) -> list[str]:
    return [
        f"{action.attempt.epic}/{action.attempt.task}" for action in actions if isinstance(action, StartTask)
    ]


def some() -> RunView:
    """Returns a run with two epics that need p and one that does not."""
    return a_run(
        by("p", an_epic("a", PENDING, PENDING)), by("p", an_epic("b", PENDING)), an_epic("c", PENDING)
    )


def test_a_held_provider_starts_nothing() -> None:
    """Epics of the provider wait and use no slot."""
    assert started(decided(HELD, some(), slots=1)) == ["c/t1"]


def test_one_session_tries_a_provider_in_doubt() -> None:
    """The best of its tasks starts; the others, in all runs, wait for the outcome."""
    other = replace(some(), name=RUN._replace(run="other"))
    assert started(decided(IN_DOUBT, some(), other)) == ["a/t1", "c/t1", "c/t1"]
    assert started(decided(TRIED, some())) == ["c/t1"]


def test_a_refusal_pauses_the_run() -> None:
    """Only a run with a task that could start now is paused, once; the reason says what to do."""
    [pause] = [each for each in decided(REFUSING, some()) if isinstance(each, PauseRun)]
    assert pause.held_by == "p"
    assert pause.reason == (
        "p is on hold: the API refused the credentials (401): log in; then `heddle resume r`"
    )
    assert started(decided(REFUSING, some())) == []
    paused = replace(some(), state=pb.RUN_STATE_PAUSED)
    later = a_run(
        an_epic("a", RUNNING), by("p", an_epic("b", PENDING, depends_on=("a",), state=pb.EPIC_STATE_BLOCKED))
    )
    for run in (paused, later, a_run(an_epic("c", PENDING))):
        assert not [each for each in decided(REFUSING, run) if isinstance(each, PauseRun)]


def test_a_paused_run_keeps_its_slots() -> None:
    """Running sessions of a paused run keep their slots."""
    paused = a_run(an_epic("a", RUNNING), by("p", an_epic("b", PENDING)))
    other = replace(a_run(an_epic("x", PENDING)), name=RUN._replace(run="other"))
    assert started(decided(REFUSING, paused, other, slots=1)) == []


@pytest.mark.parametrize(("attempts", "again"), [(1, True), (2, False)])
def test_outages_without_end_use_up_retries(attempts: int, again: bool) -> None:
    """Too many attempts lost because of a provider count as a failure of the task."""
    assert should_retry(pb.OUTCOME_PROVIDER_UNAVAILABLE, attempts, 1, 0) is again


def test_one_refusal_among_several_holds_is_enough() -> None:
    """Another provider that is only on hold does not hide the one that needs the operator."""
    snapshot = replace(a_snapshot(some()), providers=(ProviderView("q", held=True), REFUSING))
    assert [each.held_by for each in decide(snapshot) if isinstance(each, PauseRun)] == ["p"]
