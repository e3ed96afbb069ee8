"""Validates the steps of a script."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from heddle import pb
from heddle.errors import Violation
from heddle.plan.values import text_rules

MAX_FLOOD_LINES: Final = 10_000_000
MAX_FLOOD_WIDTH: Final = 1 << 20


def step(path: str, step: pb.ScriptStep) -> Iterator[Violation]:
    """Yields the violations of one step."""
    kind = step.WhichOneof("step")
    if kind is None:
        yield Violation(path, "does not name a step")
    elif kind in _RULES:
        yield from _RULES[kind](f"{path}.{kind}", getattr(step, kind))
    if step.from_attempt < 0:
        yield Violation(f"{path}.from_attempt", "must not be negative")


def _write(path: str, write: pb.ScriptStep.WriteFile) -> Iterator[Violation]:
    yield from text_rules.inside_worktree(f"{path}.path", write.path)


def _edit(path: str, edit: pb.ScriptStep.EditFile) -> Iterator[Violation]:
    yield from text_rules.inside_worktree(f"{path}.path", edit.path)
    if not edit.find:
        yield Violation(f"{path}.find", "is missing")


def _run(path: str, run: pb.ScriptStep.RunCommand) -> Iterator[Violation]:
    yield from text_rules.command(f"{path}.command", run.command)


def _usage(path: str, usage: pb.ScriptStep.ReportUsage) -> Iterator[Violation]:
    if not usage.model.strip():
        yield Violation(f"{path}.model", "is missing")
    for field, value in usage.ListFields():
        if field.name != "model" and value < 0:
            yield Violation(f"{path}.{field.name}", "must not be negative")


def _ask(path: str, ask: pb.ScriptStep.Ask) -> Iterator[Violation]:
    if not ask.question.strip():
        yield Violation(f"{path}.question", "is missing")


def _wait(path: str, wait: pb.ScriptStep.Wait) -> Iterator[Violation]:
    yield from text_rules.positive(f"{path}.duration", wait.duration)


def _fail(path: str, fail: pb.ScriptStep.Fail) -> Iterator[Violation]:
    if fail.attempts < 0:
        yield Violation(f"{path}.attempts", "must not be negative")


def _flood(path: str, flood: pb.ScriptStep.Flood) -> Iterator[Violation]:
    if not 1 <= flood.lines <= MAX_FLOOD_LINES:
        yield Violation(f"{path}.lines", f"must be from 1 to {MAX_FLOOD_LINES:,}")
    if not 0 <= flood.width <= MAX_FLOOD_WIDTH:
        yield Violation(f"{path}.width", f"must be from 0 to {MAX_FLOOD_WIDTH:,}")


def _plan(path: str, plan: pb.ScriptStep.Plan) -> Iterator[Violation]:
    if not plan.steps or not all(step.strip() for step in plan.steps):
        yield Violation(f"{path}.steps", "must have at least one step, and no empty ones")
    if not 0 <= plan.done <= len(plan.steps):
        yield Violation(f"{path}.done", "must be from 0 to the number of steps")


# Any: each function takes the message of its own step.
_RULES: Final[Mapping[str, Callable[[str, Any], Iterator[Violation]]]] = {
    "write": _write,
    "edit": _edit,
    "run": _run,
    "usage": _usage,
    "ask": _ask,
    "wait": _wait,
    "fail": _fail,
    "flood": _flood,
    "plan": _plan,
}
