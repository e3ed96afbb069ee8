"""Reads .heddle.yaml: its message, or every error with its line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.errors import HeddleError, Violation
from heddle.plan.yaml import reading
from heddle.plan.yaml.reading import Form
from heddle.plan.yaml.source import Problem, Source, parse_path
from heddle.project import rules

# At the root of the project.
NAME: Final = ".heddle.yaml"

FORM: Final = Form(
    noun="project file",
    models="heddle.project.model",
    message=pb.ProjectFile,
    violations=rules.violations,
    # A file with only comments is equivalent to no file.
    empty="",
    shape="must be a mapping with keys such as setup, copy and ports",
)


@dataclass(frozen=True)
class LoadedProject:
    """The content of a project file. It is complete only if there are no problems, which are sorted by line."""

    file: pb.ProjectFile
    problems: tuple[Problem, ...] = ()

    def describe(self) -> str:
        """Returns the problems as a compiler would print them, one per line."""
        return "\n".join(problem.describe(NAME) for problem in self.problems)


def parse(content: str | bytes) -> LoadedProject:
    """Reads a project file from its content."""
    return LoadedProject(*reading.read(content, FORM))


def located(problems: Iterable[Problem], content: str) -> tuple[Problem, ...]:
    """Returns `problems`, known only by field, with the positions of those fields in the file."""
    root = Source(content).root
    if root is None:
        return tuple(problems)
    placed = [each._replace(**root.place_of(parse_path(each.field))._asdict()) for each in problems]
    return tuple(sorted(placed))


def invalid(problems: tuple[Problem, ...]) -> HeddleError:
    """Returns the error that carries every problem of a project file at once."""
    count = f"{len(problems)} error{'s' if len(problems) != 1 else ''}"
    lines = "".join(f"\n  {problem.describe(NAME)}" for problem in problems)
    return HeddleError(
        pb.ERROR_REASON_INVALID_PROJECT_FILE,
        f"{NAME} has {count}; fix and commit it:{lines}",
        violations=[Violation(problem.field or NAME, problem.message) for problem in problems],
        path=NAME,
    )
