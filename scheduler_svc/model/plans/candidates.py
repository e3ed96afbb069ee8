"""The candidates of a task: what each of them does, and what their score is. Pure."""

import math
from collections.abc import Sequence

from heddle import pb
from heddle.plan.validation.candidate_rules import SCORE
from scheduler_svc.model.plans.plan_defaults import replace_agent


class ScoreError(ValueError):
    """A score command printed no number."""


def specs(task: pb.PlanTask) -> list[pb.PlanTask]:
    """Returns the plan of each candidate of a task with all defaults, in their order, without a key.

    A candidate has no retries: another one is there. Its score command is the last of its checks.
    """
    return [_spec(task, candidate) for candidate in task.candidates]


def score_of(task: pb.PlanTask, checks: Sequence[pb.CheckFinished]) -> float | None:
    """Returns the score of a candidate whose checks passed; None if its task has none. Raises ScoreError."""
    if not task.score:
        return None
    output = next((check.output for check in reversed(checks) if check.name == SCORE), "")
    lines = output.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    try:
        score = float(last)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        printed = f"the last line that it printed is {last[:100]!r}" if last else "it printed nothing"
        raise ScoreError(f"the score command must print a number as its last line, but {printed}")
    return score


def _spec(task: pb.PlanTask, candidate: pb.PlanCandidate) -> pb.PlanTask:
    spec = pb.PlanTask()
    spec.CopyFrom(task)
    for field in ("key", "candidates", "choose", "budget_usd_micros", "retries"):
        spec.ClearField(field)
    if candidate.agent:
        replace_agent(spec, candidate.agent)
    spec.model = candidate.model or spec.model
    # The score command stays in `score`, which says that the candidate needs a number.
    if task.score:
        spec.checks.add(name=SCORE, run=task.score)
    return spec
