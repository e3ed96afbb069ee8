"""When an agent compares the candidates of a task, what it is told, and what its answer says."""

from dataclasses import replace

import pytest

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model.prompts import comparison_prompt
from scheduler_svc.model.prompts.review_answer import UnreadableError
from scheduler_svc.policy import candidates
from scheduler_svc.policy.actions import AskForChoice, ChooseCandidate, CompareCandidates
from scheduler_svc.policy.snapshot import EpicView, RunView, TaskView

TASK = RunName("r").epic("e").task("t")
REVIEW = pb.Review()
for number, scored in ((1, 5.0), (3, None)):
    REVIEW.comparison.candidates.add(candidate=number, commit=f"c{number}", score=scored)


def lane(number: int, state: "pb.TaskState.ValueType", score: float | None = None) -> TaskView:
    return TaskView(TASK.of_candidate(number), state, 1, whole=TASK, score=score)


def decided(task: TaskView) -> list[object]:
    epic = EpicView(TASK.parent, pb.EPIC_STATE_RUNNING, 0, 0, (), pb.ON_FAILURE_CONTINUE, (task,))
    run = RunView(RunName("r"), pb.RUN_STATE_RUNNING, "local", 4, (epic,))
    return list(candidates.decided(run, ()))


@pytest.mark.parametrize(("score", "then"), [(1.0, ChooseCandidate), (None, AskForChoice)])
def test_candidates_are_compared_before_the_score_or_a_person_decides(
    score: float | None, then: type
) -> None:
    """An agent compares the candidates that passed, once; one that passed alone is chosen without it."""
    passed = [lane(1, pb.TASK_STATE_PASSED, score), lane(3, pb.TASK_STATE_PASSED, score)]
    lanes = (passed[0], lane(2, pb.TASK_STATE_FAILED), passed[1])
    task = TaskView(TASK, pb.TASK_STATE_RUNNING, 0, candidates=3, compares=True, lanes=lanes)
    assert decided(task) == [CompareCandidates(TASK, (1, 3))]
    (after,) = decided(replace(task, in_review=True))
    assert isinstance(after, then)
    alone = replace(task, lanes=(passed[0], lane(2, pb.TASK_STATE_FAILED), lane(3, pb.TASK_STATE_FAILED)))
    assert [type(each) for each in decided(alone)] == [ChooseCandidate]
    assert decided(replace(task, lanes=(*lanes[:2], lane(3, pb.TASK_STATE_PENDING)))) == []


def test_the_prompt_has_the_work_of_each_candidate() -> None:
    """It names the candidates by number, with their changes and scores, and says what is not shown."""
    asked = pb.PlanChoice(agent="codex", prompt="Prefer the shortest.")
    again = pb.Review()
    again.CopyFrom(REVIEW)
    again.problem = "it was empty"
    text = comparison_prompt.for_comparison("Sort it.", asked, again, {1: ("+one", True), 3: ("+```", False)})
    parts = (
        "    Sort it.",
        "Candidate 1, score 5:",
        "```diff\n+one\n```",
        "Candidate 3:",
        "````diff\n+```\n````",
    )
    more = ("The change continues: `git diff c3^ c3`", "Prefer the shortest.", "not be used: it was empty")
    places = [text.index(part) for part in (*parts, *more)]
    assert places == sorted(places)
    assert "codex" not in text
    assert comparison_prompt.diff_bytes(REVIEW.comparison) == 50_000


def test_an_answer_names_one_of_the_candidates() -> None:
    """The choice and its reason are added to the comparison."""
    done = comparison_prompt.judged(REVIEW, 'I looked.\n```json\n{"best": 3, "reason": " shorter "}\n```')
    assert (done.comparison.best, done.comparison.reason) == (3, "shorter")
    assert done.comparison.candidates == REVIEW.comparison.candidates


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("The third one.", "no ```json block"),
        ("[3]", "it is not an object"),
        ('{"reason": "x"}', "\"best\" must be 1 or 3, not 'None'"),
        ('{"best": 2, "reason": "x"}', "not '2'"),
        ('{"best": true, "reason": "x"}', "not 'True'"),
        ('{"best": "3", "reason": "x"}', "must be 1 or 3"),
        ('{"best": [3], "reason": "x"}', "must be 1 or 3"),
        ('{"best": 3}', '"reason" must say'),
        ('{"best": 3, "reason": " "}', '"reason" must say'),
    ],
)
def test_an_answer_that_names_none_is_refused(text: str, problem: str) -> None:
    """Each answer that cannot be used says why, so that the agent can be asked again."""
    with pytest.raises(UnreadableError) as refused:
        comparison_prompt.judged(REVIEW, text)
    assert problem in str(refused.value)
