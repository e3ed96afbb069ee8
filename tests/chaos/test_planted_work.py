"""The checks of reviews, candidates, needs and held epics work: each planted bug is reported, at a moment that shows it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.runs import candidates, runs_and_tasks
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.policy import decision
from scheduler_svc.policy.needs import Needs
from scheduler_svc.policy.snapshot import EpicView, Snapshot, TaskView
from scheduler_svc.store.outcomes import candidate_outcomes
from tests.chaos.test_stateful import WORKERS, SchedulerCore

RUN = RunName("run0")
FIRST, SECOND = RUN.epic("e0").task("t0"), RUN.epic("e0").task("t1")
NEEDY = RUN.epic("e1").task("t0")


def two_epics() -> pb.Plan:
    """The second epic's task needs that of the first; the first has a later task with candidates."""
    plan = pb.Plan(name="Any", defaults=pb.TaskDefaults(agent="command:work"))
    epic = plan.epics.add(key="e0", sync=pb.SYNC_POLICY_BETWEEN_TASKS)
    epic.tasks.add(key="t0", prompt="Go").reviews.add(agent="command:review", prompt="Look")
    epic.tasks.add(key="t1", prompt="Go").candidates.extend([pb.PlanCandidate()] * 2)
    plan.epics.add(key="e1").tasks.add(key="t0", prompt="Go", needs=["e0/t0"])
    return plan


class Scene(SchedulerCore):
    """One run, driven by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.core.create(RUN, two_epics(), "one", 3)
        self.names.append(RUN)

    def go(self) -> None:
        """Lets the scheduler start whatever it can."""
        while self.core.tick(WORKERS):
            pass

    def end(
        self, attempt: AttemptName, outcome: "pb.Outcome.ValueType" = pb.OUTCOME_SUCCEEDED, **how: bool
    ) -> None:
        self.core.write(self.core.end(attempt, outcome, **how))
        self.go()

    def skip_first(self) -> None:
        self._ask(partial(runs_and_tasks.skip_task, name=FIRST, actor="ada", now=self.core.now))
        self.go()


def a_review_rejects(scene: Scene) -> None:
    scene.go()
    scene.end(FIRST.attempt(1))
    scene.end(FIRST.attempt(2), rejects=True)


def a_task_that_others_need_starts(scene: Scene) -> None:
    scene.go()


def a_task_that_others_need_fails(scene: Scene) -> None:
    scene.go()
    scene.end(FIRST.attempt(1), pb.OUTCOME_FAILED)


def two_candidates_pass(scene: Scene) -> None:
    """An operator chooses the second one, after having put back the task before it."""
    scene.skip_first()
    for number in (1, 2):
        scene.end(SECOND.of_candidate(number).attempt(1))
    retry = partial(
        runs_and_tasks.retry_task,
        name=FIRST,
        actor="ada",
        choice=runs_and_tasks.AgentChoice(),
        now=scene.core.now,
    )
    scene.core.write(retry)
    scene.core.write(
        partial(candidates.choose_candidate, name=SECOND, actor="ada", number=2, now=scene.core.now)
    )
    scene.go()


def the_base_conflicts(scene: Scene) -> None:
    scene.core.base.move(conflicts=True)
    scene.go()
    scene.core.write(*scene.core.catch_up())
    scene.go()


Patch = pytest.MonkeyPatch


def ignoring_rejections(patch: Patch) -> None:
    def judged(review: pb.Review, findings: Sequence[pb.ReviewFinding], summary: str) -> pb.Review:
        done = judge(review, findings, summary)
        done.verdict = pb.REVIEW_VERDICT_PASSED
        return done

    judge = reviews.judged
    patch.setattr(reviews, "judged", judged)


def meeting_needs_at_the_start(patch: Patch) -> None:
    patch.setattr(Needs, "_is_met", lambda self, name: self._tasks[name].state != pb.TASK_STATE_PENDING)


def waiting_for_lost_needs(patch: Patch) -> None:
    patch.setattr(Needs, "lost", lambda _self, _task: None)


def taking_the_loser(patch: Patch) -> None:
    def accept(
        connection: sa.Connection,
        attempt: AttemptName,
        candidate: AttemptName,
        committed: pb.CommitTaskResponse,
        now: int,
    ) -> None:
        other = attempt.parent.of_candidate(3 - candidate.parent.candidate).attempt(candidate.number)
        accepted(connection, attempt, other, committed, now)

    accepted = candidate_outcomes.accept
    patch.setattr(candidate_outcomes, "accept", accept)


def starting_before_chosen_work(patch: Patch) -> None:
    def first(epic: EpicView) -> TaskView | None:
        return next((task for task in epic.tasks if task.startable), None)

    patch.setattr(EpicView, "next_task", property(first))


def starting_in_held_epics(patch: Patch) -> None:
    def decide(snapshot: Snapshot) -> list[decision.Action]:
        runs = [
            replace(run, epics=tuple(replace(epic, out_of_sync=False) for epic in run.epics))
            for run in snapshot.runs
        ]
        return decided(replace(snapshot, runs=tuple(runs)))

    decided = decision.decide
    patch.setattr(decision, "decide", decide)


def play(moment: Callable[[Scene], None]) -> None:
    scene = Scene()
    try:
        moment(scene)
        assert not scene.core.violations, scene.core.violations
        scene._settle()
        assert not scene.core.violations, scene.core.violations
        assert not scene._going_on(), "the run never ends"
    finally:
        scene.core.close()


@pytest.mark.parametrize(
    ("plant", "moment", "named"),
    [
        (ignoring_rejections, a_review_rejects, "which a review has rejected"),
        (meeting_needs_at_the_start, a_task_that_others_need_starts, "starts before e0/t0, which it needs"),
        (waiting_for_lost_needs, a_task_that_others_need_fails, "the run never ends"),
        (taking_the_loser, two_candidates_pass, "although its task has not accepted its work"),
        (starting_before_chosen_work, two_candidates_pass, "which does not build on"),
        (starting_in_held_epics, the_base_conflicts, "although its epic is held"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_planted_bug_is_found(
    plant: Callable[[Patch], None], moment: Callable[[Scene], None], named: str, monkeypatch: Patch
) -> None:
    """Nothing is reported without the bug, and with it, its invariant is named."""
    play(moment)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=named):
        play(moment)
