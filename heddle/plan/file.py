"""Reads plan files: a plan, or every error with its line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.plan import rules
from heddle.plan.yaml import reading
from heddle.plan.yaml.inputs import Filled, Input, fill_in
from heddle.plan.yaml.reading import Form
from heddle.plan.yaml.source import Problem, Source

FORM: Final = Form(
    noun="plan",
    models="heddle.plan.models.plan_model",
    message=pb.Plan,
    violations=rules.violations,
    empty="is empty; a plan needs a name and epics",
    shape="must be a mapping with the keys name and epics",
)


@dataclass(frozen=True)
class LoadedPlan:
    """The content of a plan file. The plan is complete only if there are no problems, which are sorted by line."""

    source: str
    plan: pb.Plan
    problems: tuple[Problem, ...] = ()
    # The content of the file. Complete only if there are no problems.
    text: str = ""
    # The values of its inputs, defaults included.
    inputs: Mapping[str, str] = field(default_factory=dict)
    # What it declares about them.
    declared_inputs: tuple[Input, ...] = ()

    def describe(self) -> str:
        """Returns the problems as a compiler would print them, one per line."""
        return "\n".join(problem.describe(self.source) for problem in self.problems)


def load(path: Path, inputs: Mapping[str, str] | None = None) -> LoadedPlan:
    """Reads a plan file, or standard input if `path` is -; an unreadable file is reported as a problem.

    `inputs` has the values of the plan's inputs.
    """
    source = "standard input" if str(path) == "-" else str(path)
    content, problems = reading.content_of(path, FORM.noun)
    if problems:
        return LoadedPlan(source, pb.Plan(), problems)
    return parse(content, source, inputs)


def parse(content: str | bytes, source: str, inputs: Mapping[str, str] | None = None) -> LoadedPlan:
    """Reads a plan from the content of a file; problems refer to the file as `source`."""
    filled = Filled()

    def fill(found: Source) -> None:
        nonlocal filled
        filled = fill_in(found, inputs or {})

    plan, problems = reading.read(content, FORM, fill)
    text = content if isinstance(content, str) else content.decode(errors="ignore")
    return LoadedPlan(source, plan, problems, text, filled.values, filled.declared)
