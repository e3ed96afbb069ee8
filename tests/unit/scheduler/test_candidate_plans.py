"""What each candidate of a task does, and how its score is read."""

import pytest

from heddle import pb
from scheduler_svc.model.plans.candidates import ScoreError, score_of, specs

TASK = pb.PlanTask(
    key="t",
    prompt="Go",
    agent="claude",
    model="opus",
    retries=2,
    budget_usd_micros=5,
    score="./score",
    checks=[pb.Check(name="tests", run="make test")],
    candidates=[
        pb.PlanCandidate(),
        pb.PlanCandidate(model="haiku"),
        pb.PlanCandidate(agent="codex"),
        pb.PlanCandidate(agent="codex", model="gpt"),
    ],
)


def test_each_candidate_is_a_task_of_its_own() -> None:
    """It has its agent and model, neither key, budget nor retries, and the score command as its last check."""
    found = specs(TASK)
    assert [(each.agent, each.model) for each in found] == [
        ("claude", "opus"),
        ("claude", "haiku"),
        ("codex", ""),
        ("codex", "gpt"),
    ]
    for each in found:
        assert (each.key, list(each.candidates), each.HasField("retries"), each.budget_usd_micros) == (
            "",
            [],
            False,
            0,
        )
        assert [(check.name, check.run) for check in each.checks] == [
            ("tests", "make test"),
            ("score", "./score"),
        ]
        assert (each.prompt, each.score) == ("Go", "./score")
    # The plan itself stays as it is.
    assert (TASK.key, len(TASK.candidates), len(TASK.checks)) == ("t", 4, 1)


def test_without_a_score_command_there_is_no_check_for_it() -> None:
    """A candidate then has the checks of its task only, and no score."""
    task = pb.PlanTask(candidates=[pb.PlanCandidate()])
    assert [list(each.checks) for each in specs(task)] == [[]]
    assert score_of(task, [scored("7")]) is None


def scored(*outputs: str) -> pb.CheckFinished:
    return pb.CheckFinished(name="score", output="\n".join(outputs))


@pytest.mark.parametrize(
    ("output", "score"),
    [("7", 7), ("noise 3\n-0.5\n", -0.5), ("1\n 2e3 \n\n", 2000), ("0", 0), ("1\r\n2\r\n", 2)],
)
def test_the_last_line_is_the_score(output: str, score: float) -> None:
    """A number of any form is a score, also with lines before it."""
    assert score_of(TASK, [pb.CheckFinished(name="tests", output="9"), scored(output)]) == score


def test_the_last_run_of_the_score_command_counts() -> None:
    """A check of the same name that ran earlier does not count, and other checks never do."""
    assert score_of(TASK, [scored("1"), scored("2"), pb.CheckFinished(name="tests", output="3")]) == 2


@pytest.mark.parametrize(
    ("output", "printed"),
    [
        ("", "it printed nothing"),
        (" \n\n", "it printed nothing"),
        ("5\nfive", "the last line that it printed is 'five'"),
        ("nan", "is 'nan'"),
        ("-inf", "is '-inf'"),
        ("x" * 101, f"is '{'x' * 100}'"),
    ],
)
def test_what_is_no_number_is_an_error(output: str, printed: str) -> None:
    """The error shows the first hundred characters of what was printed instead."""
    with pytest.raises(ScoreError) as caught:
        score_of(TASK, [scored(output)])
    assert str(caught.value).endswith(printed)


def test_a_score_command_that_did_not_run_is_an_error() -> None:
    """A candidate whose task has a score command needs a number."""
    with pytest.raises(ScoreError, match="it printed nothing"):
        score_of(TASK, [pb.CheckFinished(name="tests", output="3")])
