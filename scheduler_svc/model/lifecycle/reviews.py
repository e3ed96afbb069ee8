"""What happens after each step of the reviews of a task's work, and how a reviewer is started. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from heddle import pb
from heddle.plan.validation.review_rules import DEFAULT_ROUNDS

ERROR: Final = pb.REVIEW_SEVERITY_ERROR

# Characters of a finding in the reason of a failure.
_REASON: Final = 200

# Commands that only read. Everything else is refused without asking: a reviewer changes nothing.
_READS: Final = tuple(
    f"Bash(git {command}:*)" for command in ("diff", "show", "log", "status", "blame", "grep")
)
_WRITERS: Final = ("Write", "Edit")


def first(planned: Sequence[pb.PlanReview], attempt: int, commit: str, before: pb.Review | None) -> pb.Review:
    """Returns the review that is next after an attempt submitted its work as `commit`.

    `before` is the review that had rejected the earlier work: its reviewer is asked again. None: the
    reviews begin with the first.
    """
    position = before.position if before else 1
    return _review(planned, attempt, commit, position, before.round + 1 if before else 1)


def after_pass(planned: Sequence[pb.PlanReview], passed: pb.Review) -> pb.Review | None:
    """Returns the next review of the same work; None if all have passed."""
    if passed.position >= len(planned):
        return None
    return _review(planned, passed.attempt, passed.commit, passed.position + 1, 1)


def _review(
    planned: Sequence[pb.PlanReview], attempt: int, commit: str, position: int, number: int
) -> pb.Review:
    of_plan = planned[position - 1]
    return pb.Review(
        attempt=attempt,
        commit=commit,
        position=position,
        round=number,
        rounds=of_plan.rounds or DEFAULT_ROUNDS,
        blocking=of_plan.blocking if of_plan.HasField("blocking") else True,
    )


def judged(review: pb.Review, findings: Iterable[pb.ReviewFinding], summary: str) -> pb.Review:
    """Returns the review with its findings and verdict."""
    done = pb.Review()
    done.CopyFrom(review)
    done.ClearField("problem")
    done.findings.extend(findings)
    done.summary = summary
    rejects = review.blocking and count(done.findings, ERROR) > 0
    done.verdict = pb.REVIEW_VERDICT_REJECTED if rejects else pb.REVIEW_VERDICT_PASSED
    return done


def asked_again(review: pb.Review, problem: str) -> pb.Review | None:
    """Returns the review to repeat because its answer was not usable; None if it was already repeated for that."""
    if review.problem:
        return None
    again = pb.Review()
    again.CopyFrom(review)
    again.problem = problem
    return again


def count(findings: Iterable[pb.ReviewFinding], severity: "pb.ReviewSeverity.ValueType") -> int:
    """Returns how many findings have this severity."""
    return sum(each.severity == severity for each in findings)


def rejection(agent: str, review: pb.Review) -> str:
    """Returns why work that a review rejected is not accepted."""
    errors = [each for each in review.findings if each.severity == ERROR]
    found = f"{len(errors)} error" if len(errors) == 1 else f"{len(errors)} errors"
    first_line = errors[0].text.splitlines()[0]
    text = first_line if len(first_line) <= _REASON else f"{first_line[: _REASON - 1]}…"
    return f"the review by {agent} found {found} (round {review.round} of {review.rounds}): {text}"


def reviewer_spec(spec: pb.PlanTask, review: pb.Review) -> pb.PlanTask:
    """Returns the task as its reviewer gets it: with the reviewer's agent and model, read-only, without checks.

    Its prompt is still that of the task.
    """
    return _reading_spec(spec, spec.reviews[review.position - 1])


def comparing_spec(spec: pb.PlanTask) -> pb.PlanTask:
    """Returns the task as the agent gets it that compares its candidates; see `reviewer_spec`."""
    return _reading_spec(spec, spec.choose)


def _reading_spec(spec: pb.PlanTask, of_plan: pb.PlanReview | pb.PlanChoice) -> pb.PlanTask:
    reviewer = pb.PlanTask(
        key=spec.key,
        title=spec.title,
        prompt=spec.prompt,
        agent=of_plan.agent,
        model=of_plan.model,
        reviews=spec.reviews,
        choose=spec.choose if spec.HasField("choose") else None,
        permissions=pb.Permissions(
            default=pb.PERMISSION_DECISION_DENY,
            allow=_READS,
            deny=list(dict.fromkeys([*_WRITERS, *spec.permissions.deny])),
        ),
    )
    for limit in ("timeout", "silence", "background_wait"):
        if spec.HasField(limit):
            getattr(reviewer, limit).CopyFrom(getattr(spec, limit))
    return reviewer
