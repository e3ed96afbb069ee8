"""Reads plan files: a plan, or every mistake with its line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.plan import conversion, rules
from heddle.plan.source import Place, Problem, Source, path_text

# Much more than a good plan can take, and parsed in a second.
MAX_FILE_BYTES: Final = 4 << 20


@dataclass(frozen=True)
class LoadedPlan:
    """What a file holds. The plan is whole only if there are no problems, which are sorted by line."""

    source: str
    plan: pb.Plan
    problems: tuple[Problem, ...] = ()

    def describe(self) -> str:
        """Returns the problems as a compiler would print them, one a line."""
        return "\n".join(problem.describe(self.source) for problem in self.problems)


def load(path: Path) -> LoadedPlan:
    """Reads a plan file; a file that cannot be read is a problem like any other."""
    try:
        # Never more than that: it could be of any size, or a device.
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        return _unreadable(str(path), "is a folder; name a plan file")
    except FileNotFoundError:
        return _unreadable(str(path), "does not exist")
    except (OSError, ValueError) as error:
        return _unreadable(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return parse(content, str(path))


def parse(content: str | bytes, source: str) -> LoadedPlan:
    """Reads a plan from what a file holds; `source` is what problems call it."""
    if len(content) > MAX_FILE_BYTES:
        return _unreadable(
            source, f"is larger than {MAX_FILE_BYTES >> 20} MiB, the most that a plan may take"
        )
    encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if b"\0" in encoded:
        return _unreadable(source, "is binary or not UTF-8; a plan is a UTF-8 text")
    try:
        text = encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = encoded[: error.start].count(b"\n") + 1
        return _unreadable(source, "is not UTF-8; save it as UTF-8 text", Place(line, 1))
    return _judged(Source(text), source)


def _judged(text: Source, source: str) -> LoadedPlan:
    if text.root is None:
        empty = [] if text.problems else [Problem(1, 1, "", "is empty; a plan has a name and epics")]
        return LoadedPlan(source, pb.Plan(), tuple(sorted([*text.problems, *empty])))
    if not isinstance(text.root.value, dict):
        problem = Problem(*text.root.place, "", "must be a mapping with the keys name and epics")
        return LoadedPlan(source, pb.Plan(), tuple(sorted([*text.problems, problem])))
    plan, mistakes = conversion.convert(text.root)
    problems = [Problem(*text.root.place_of(path), path_text(path), message) for path, message in mistakes]
    problems = [each for each in problems if not _covered(each.field, text.lost)]
    # A value that is no value at all is one mistake, not two; so is a step whose one key is a bad one.
    reported = text.lost | {path_text(path) for path, _ in mistakes}
    reported |= {path_text(path[:-1]) for path, _ in mistakes if path[-3:-2] == ("script",)}
    for violation in rules.violations(plan) if plan else ():
        if not _covered(violation.field, reported):
            place = text.root.place_of(conversion.parse_path(violation.field))
            problems.append(Problem(*place, *violation))
    return LoadedPlan(source, plan or pb.Plan(), tuple(sorted([*text.problems, *problems])))


def _covered(field: str, reported: set[str]) -> bool:
    """Says whether `field` or a part that it lies in was reported."""
    ends = [place for place, character in enumerate(field) if character in ".["]
    return any(field[:end] in reported for end in [*ends, len(field)])


def _unreadable(source: str, message: str, place: Place | None = None) -> LoadedPlan:
    return LoadedPlan(source, pb.Plan(), (Problem(*(place or Place()), "", message),))
