"""Reads code coverage from Cobertura XML. Pure."""

from collections.abc import Sequence
from typing import Final

from agent_svc.reports.files import UnreadableError
from agent_svc.reports.xml import walk
from agent_svc.text import clip
from heddle import pb

MAX_LINES: Final = 2**31


def read_coverage(data: bytes) -> pb.Coverage:
    """Returns the line counts of one report, counted if it has no totals. Raises UnreadableError."""
    told: dict[str, str] = {}
    file = ""
    # Whether each line was reached, by file and line number.
    lines: dict[tuple[str, str], bool] = {}

    def begin(path: Sequence[str], attributes: dict[str, str]) -> None:
        nonlocal file
        if path[0] != "coverage":
            raise UnreadableError(f"is not a Cobertura report: its root is {clip(path[0], 40)}")
        if len(path) == 1:
            told.update(attributes)
        elif path[-1] == "class":
            file = attributes.get("filename", "")
        elif path[-1] == "line":
            # A line is listed both in its class and in its method.
            place = file, attributes.get("number", "")
            lines[place] = lines.get(place, False) or attributes.get("hits", "0") not in {"", "0"}

    walk(data, begin, lambda _: None)
    try:
        covered, valid = int(told["lines-covered"]), int(told["lines-valid"])
    except (KeyError, ValueError):
        covered, valid = sum(lines.values()), len(lines)
    if not 0 <= covered <= valid <= MAX_LINES:
        raise UnreadableError(f"has impossible counts: {covered} of {valid} lines covered")
    return pb.Coverage(lines_covered=covered, lines_valid=valid)


def total(reports: list[pb.Coverage]) -> pb.Coverage:
    """Returns the sum. Assumes that the reports cover different files."""
    return pb.Coverage(
        lines_covered=sum(report.lines_covered for report in reports),
        lines_valid=sum(report.lines_valid for report in reports),
    )
