"""Reads .heddle.yaml: what it says, or every mistake with its line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.errors import HeddleError, Violation
from heddle.plan import reading
from heddle.plan.reading import Form
from heddle.plan.source import Problem, Source, parse_path
from heddle.project import rules

# At the top of the project.
NAME: Final = ".heddle.yaml"

FORM: Final = Form(
    noun="project file",
    models="heddle.project.model",
    message=pb.ProjectFile,
    violations=rules.violations,
    # One with nothing but comments says as much as none.
    empty="",
    shape="must be a mapping with keys as setup, copy and ports",
)


@dataclass(frozen=True)
class LoadedProject:
    """What a project's file holds. It is whole only if there are no problems, which are sorted by line."""

    file: pb.ProjectFile
    problems: tuple[Problem, ...] = ()

    def describe(self) -> str:
        """Returns the problems as a compiler would print them, one a line."""
        return "\n".join(problem.describe(NAME) for problem in self.problems)


def parse(content: str | bytes) -> LoadedProject:
    """Reads what the file holds."""
    return LoadedProject(*reading.read(content, FORM))


def located(problems: Iterable[Problem], content: str) -> tuple[Problem, ...]:
    """Returns problems that are known by their fields with the places of those in the file."""
    root = Source(content).root
    if root is None:
        return tuple(problems)
    placed = [each._replace(**root.place_of(parse_path(each.field))._asdict()) for each in problems]
    return tuple(sorted(placed))


def invalid(problems: tuple[Problem, ...]) -> HeddleError:
    """Returns the error that carries every mistake of a project's file at once."""
    count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
    lines = "".join(f"\n  {problem.describe(NAME)}" for problem in problems)
    return HeddleError(
        pb.ERROR_REASON_INVALID_PROJECT_FILE,
        f"{NAME} has {count}; mend and commit it:{lines}",
        violations=[Violation(problem.field or NAME, problem.message) for problem in problems],
        path=NAME,
    )
