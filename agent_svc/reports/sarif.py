"""Reads the findings of analysers from SARIF 2.1.0. Pure."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from agent_svc.reports.files import UnreadableError
from agent_svc.text import clip
from heddle import pb

MAX_FINDINGS: Final = 50

# A parsed value uses many times the memory of its text. Reports of analysers have fewer values than this, even
# those of 16 MiB.
MAX_VALUES: Final = 1_500_000

MAX_MESSAGE_BYTES: Final = 500
MAX_LABEL_BYTES: Final = 300

MAX_LINE: Final = 2**31 - 1

LEVELS: Final[dict[str, "pb.FindingLevel.ValueType"]] = {
    "error": pb.FINDING_LEVEL_ERROR,
    "warning": pb.FINDING_LEVEL_WARNING,
    "note": pb.FINDING_LEVEL_NOTE,
}


# What is counted but never shown.
_BARE: Final = {level: pb.Finding(level=level) for level in LEVELS.values()}


def read_findings(data: bytes, worktree: str) -> list[pb.Finding]:
    """Returns the findings of one report in their original order; raises UnreadableError.

    Paths below `worktree` become relative to it. Leaves out findings that are suppressed
    or that are absent compared with an earlier report. After MAX_FINDINGS of a level, further ones have only
    their level.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise UnreadableError(f"has more than {MAX_VALUES:,} values")
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is not valid JSON: {error}") from error
    if not isinstance(report, dict) or not isinstance(report.get("runs"), list):
        raise UnreadableError("is not a SARIF report: it has no list of runs")
    kept: Counter[pb.FindingLevel.ValueType] = Counter()
    return [finding for run in report["runs"] for finding in _findings(_mapping(run), worktree, kept)]


def total(findings: list[pb.Finding]) -> pb.Findings:
    """Returns the counts and the most severe findings."""
    levels = [finding.level for finding in findings]
    return pb.Findings(
        errors=levels.count(pb.FINDING_LEVEL_ERROR),
        warnings=levels.count(pb.FINDING_LEVEL_WARNING),
        notes=levels.count(pb.FINDING_LEVEL_NOTE),
        # The most severe level has the lowest number.
        first=sorted(findings, key=lambda finding: finding.level)[:MAX_FINDINGS],
    )


def _findings(
    run: dict[str, Any], worktree: str, kept: Counter["pb.FindingLevel.ValueType"]
) -> Iterator[pb.Finding]:
    rules = _list(_mapping(_mapping(run.get("tool")).get("driver")).get("rules"))
    by_id = {rule["id"]: rule for rule in rules if isinstance(_mapping(rule).get("id"), str)}
    for result in map(_mapping, _list(run.get("results"))):
        rule = _mapping(by_id.get(_text(result.get("ruleId"))) or _at(rules, result.get("ruleIndex")))
        level = LEVELS.get(_level(result, rule))
        if level and not result.get("suppressions") and result.get("baselineState") != "absent":
            kept[level] += 1
            yield _finding(result, rule, level, worktree) if kept[level] <= MAX_FINDINGS else _BARE[level]


def _level(result: dict[str, Any], rule: dict[str, Any]) -> str:
    if result.get("kind", "fail") != "fail":
        return "none"
    default = _mapping(rule.get("defaultConfiguration")).get("level")
    return _text(result.get("level") or default) or "warning"


def _finding(
    result: dict[str, Any], rule: dict[str, Any], level: "pb.FindingLevel.ValueType", worktree: str
) -> pb.Finding:
    place = _mapping(_mapping(_at(_list(result.get("locations")), 0)).get("physicalLocation"))
    line = _mapping(place.get("region")).get("startLine")
    message = _mapping(result.get("message"))
    said = _text(message.get("text")) or _text(message.get("markdown"))
    return pb.Finding(
        level=level,
        rule=clip(_text(result.get("ruleId")) or _text(rule.get("id")), MAX_LABEL_BYTES),
        message=clip(said or _text(_mapping(rule.get("shortDescription")).get("text")), MAX_MESSAGE_BYTES),
        file=clip(
            _file(_text(_mapping(place.get("artifactLocation")).get("uri")), worktree), MAX_LABEL_BYTES
        ),
        line=line if isinstance(line, int) and 0 < line <= MAX_LINE else 0,
    )


def _file(uri: str, worktree: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    path = unquote(parts.path) if parts.scheme in {"", "file"} else uri
    return path.removeprefix(f"{worktree}/").removeprefix("./")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    # A lone surrogate is valid JSON but not valid text.
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _at(items: list[Any], index: object) -> object:
    return items[index] if isinstance(index, int) and 0 <= index < len(items) else None
