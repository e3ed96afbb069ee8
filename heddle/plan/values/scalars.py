"""The values of unquoted words in a YAML file: YAML 1.2's core schema, with decimal numbers only. Pure.

Anything else that looks like a number (010, 0x1F, 1_000, 1:30, .inf) is text, and so are
yes, no, on, off and dates. Where a number is required, text is rejected with its line.
"""

import json
import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

# On the line of a word: blanks, then a comment. On the next line: a comment with its indentation.
_COMMENT: Final = re.compile(r"[ \t]+(#[^\r\n]*)")
_NEXT_LINE: Final = re.compile(r"[ \t]*(?:\r\n|\r|\n)([ ]*)(#[^\r\n]*)")
_MEANT: Final = re.compile(r"#+(?:[\s!]|$)")

# Both surrogates of a character beyond U+FFFF, as JSON escapes it.
_PAIR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def value_of(text: str) -> Scalar:
    """Returns the value of an unquoted word."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    except ValueError:
        # It has too many digits for an int.
        return text
    return text


def cut_off(text: str, end: int, *, is_prose: bool, indent: int) -> str:
    """Returns the comment that was probably meant as part of the unquoted word that ends at `end`; empty if none.

    A comment without a space after its #, as in "issue #12", is probably not meant as a
    comment. In prose, neither is any comment on the same line, nor one on the next line
    if that is indented further than `indent`, the column of the word's key.
    """
    same_line = _COMMENT.match(text, end)
    if same_line:
        found = same_line.group(1)
        return found if is_prose or not _MEANT.match(found) else ""
    following = _NEXT_LINE.match(text, end) if is_prose and indent else None
    if following and len(following.group(1)) >= indent:
        found = following.group(2)
        return "" if _MEANT.match(found) else found
    return ""


def with_whole_characters(text: str) -> str:
    """Returns JSON in a form that YAML accepts: surrogate pairs joined, and tabs of indentation as spaces.

    Any other text is returned unchanged: there, the same letters may be literal.
    """
    if not text.lstrip().startswith("{") or not (_PAIR.search(text) or "\t" in text):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    whole = _PAIR.sub(_joined, text)
    return re.sub(r"^\t+", lambda tabs: " " * len(tabs.group()), whole, flags=re.MULTILINE)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair.group(2), 16), int(pair.group(3), 16)
    return f"{pair.group(1)}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"
