"""Reads the answer of a reviewer: a JSON object with its findings. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from heddle import pb
from heddle.events import fenced_blocks

MAX_FINDINGS: Final = 200
# Of a finding and of the summary, in characters.
MAX_TEXT: Final = 4_000

_SEVERITIES: Final[Mapping[str, "pb.ReviewSeverity.ValueType"]] = {
    "error": pb.REVIEW_SEVERITY_ERROR,
    "warning": pb.REVIEW_SEVERITY_WARNING,
    "note": pb.REVIEW_SEVERITY_NOTE,
}
_MAX_LINE: Final = 2**31 - 1


class UnreadableError(Exception):
    """The reviewer's answer has no findings that can be read; the text says what is wrong with it."""


class Answer(NamedTuple):
    """What a reviewer found."""

    findings: list[pb.ReviewFinding]
    # About the work as a whole. Empty: nothing.
    summary: str


def read(text: str) -> Answer:
    """Returns the findings of a reviewer's final message or of a command's output; raises UnreadableError."""
    return _answer(object_of(text))


def object_of(text: str) -> object:
    """Returns the JSON value in a final message or in a command's output; raises UnreadableError.

    It is the last block fenced as json; without such a block, the whole text or its last line must be JSON.
    """
    found = (part for part in fenced_blocks.parts(text) if isinstance(part, fenced_blocks.Block))
    blocks = [block for block in found if block.language == "json"]
    if blocks:
        if not blocks[-1].closed:
            raise UnreadableError("its last ```json block is not closed")
        return _parsed(blocks[-1].content, "the last ```json block")
    lines = text.strip().splitlines()
    if not lines:
        raise UnreadableError("it is empty")
    for candidate in (text.strip(), lines[-1].strip()):
        if candidate.startswith(("{", "[")):
            try:
                return json.loads(candidate)
            except (ValueError, RecursionError):
                continue
    raise UnreadableError("it has no ```json block and is not JSON")


def _parsed(text: str, what: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"{what} is not JSON: {error}") from None


def _answer(value: object) -> Answer:
    # A bare list is what some models write although the form is an object.
    said = {"findings": value} if isinstance(value, list) else value
    if not isinstance(said, dict) or not isinstance(said.get("findings"), list):
        raise UnreadableError('it has no list "findings"; an empty list means that nothing was found')
    found = said["findings"]
    if len(found) > MAX_FINDINGS:
        raise UnreadableError(f"it has {len(found):,} findings; at most {MAX_FINDINGS} are allowed")
    summary = said.get("summary")
    return Answer(
        [_finding(f"findings[{index}]", each) for index, each in enumerate(found)],
        short(summary) if isinstance(summary, str) else "",
    )


def _finding(path: str, value: Any) -> pb.ReviewFinding:
    if not isinstance(value, dict):
        raise UnreadableError(f"{path} is not an object")
    severity = value.get("severity")
    if not isinstance(severity, str) or severity.strip().lower() not in _SEVERITIES:
        raise UnreadableError(f"{path}.severity must be {_SEVERITY_WORDS}, not {_shown(severity)}")
    text = value.get("text")
    if not isinstance(text, str) or not text.strip():
        raise UnreadableError(f"{path}.text must say what was found")
    file, line = value.get("file"), value.get("line")
    if file is not None and not isinstance(file, str):
        raise UnreadableError(f"{path}.file must be a path, not {_shown(file)}")
    if line is not None and (isinstance(line, bool) or not isinstance(line, int) or line > _MAX_LINE):
        raise UnreadableError(f"{path}.line must be a whole number, not {_shown(line)}")
    return pb.ReviewFinding(
        file=short(file or ""),
        line=max(0, line or 0),
        severity=_SEVERITIES[severity.strip().lower()],
        text=short(text),
    )


_SEVERITY_WORDS: Final = "error, warning or note"


def short(text: str) -> str:
    """Returns a text of an answer as it is stored: at most MAX_TEXT characters, all of which a message can have."""
    # JSON can have halves of surrogate pairs, which no message can have.
    whole = text.strip().encode(errors="replace").decode().replace("\0", "\ufffd")
    return whole if len(whole) <= MAX_TEXT else f"{whole[: MAX_TEXT - 1]}…"


def _shown(value: object) -> str:
    if value is None:
        return "absent"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
