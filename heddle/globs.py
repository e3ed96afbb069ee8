"""Which paths a glob matches, and whether two globs can match the same path.

`*` and `?` match within one part of a path, `**` as a whole part matches any
number of parts, and a glob that names a folder covers everything in it. All other
characters, including `[`, match themselves.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

ANY_DEPTH: Final = "**"

_WILD: Final = frozenset("*?")


def overlap(one: str, other: str) -> bool:
    """Returns whether some path is matched by both globs."""
    parts, other_parts = _parts(one), _parts(other)
    # Most pairs differ in a folder near the top; a plan of a thousand epics has millions of pairs.
    for part, other_part in zip(parts, other_parts, strict=False):
        if ANY_DEPTH in {part, other_part}:
            break
        if part != other_part and not _names_meet(part, other_part):
            return False
    return _meet(parts, other_parts, ANY_DEPTH, _names_meet)


@lru_cache(maxsize=1_000)
def pattern(glob: str) -> re.Pattern[str]:
    """Returns a regular expression for fullmatch() that matches the paths of `glob`.

    Matching takes time linear in the length of the path: text between two stars is matched
    at its first occurrence without backtracking, since a later one could not match more.
    """
    parts = [part for part in (glob.rstrip("/") or glob).removeprefix("./").split("/") if part != "."]
    while parts and parts[-1] == ANY_DEPTH:
        # A folder covers everything in it anyway.
        parts.pop()
    if not parts:
        return re.compile(".*", re.DOTALL)
    first, *more = _chunks(parts)
    if not more:
        return re.compile(f"{first}(?:/.*)?", re.DOTALL)
    *middle, last = more
    begin = f"{first}/" if parts[0] != ANY_DEPTH else ""
    amid = "".join(f"(?>(?:.*?/)??{chunk}/)" for chunk in middle if chunk)
    return re.compile(f"{begin}{amid}(?:.*/)?{last}(?:/.*)?", re.DOTALL)


def _chunks(parts: Sequence[str]) -> list[str]:
    """Returns the regular expressions of the parts between the `**`."""
    chunks: list[list[str]] = [[]]
    for part in parts:
        if part == ANY_DEPTH:
            chunks.append([])
        else:
            chunks[-1].append(_part(part))
    return ["/".join(chunk) for chunk in chunks]


def _part(part: str) -> str:
    begin, *more = (re.escape(text).replace(r"\?", "[^/]") for text in re.split(r"\*+", part))
    if not more:
        return begin
    *middle, end = more
    return begin + "".join(f"(?>[^/]*?{text})" for text in middle) + f"[^/]*{end}"


@lru_cache(maxsize=10_000)
def _parts(glob: str) -> tuple[str, ...]:
    # The last part may be a folder, so anything may follow it.
    return (*(part for part in glob.split("/") if part not in {"", "."}), ANY_DEPTH)


def names_overlap(one: str, other: str) -> bool:
    """Returns whether some text is matched by both, where `*` matches anything and `?` any character."""
    return _names_meet(one, other)


def _names_meet(one: str, other: str) -> bool:
    if not _WILD.intersection(one + other):
        return one == other
    return _meet(one, other, "*", _characters_meet)


def _characters_meet(one: str, other: str) -> bool:
    return one == other or "?" in {one, other}


def _meet(one: Sequence[str], other: Sequence[str], anything: str, alike: Callable[[str, str], bool]) -> bool:
    """Returns whether two patterns have a common match; `anything` matches any number of items."""
    # following[place]: whether the rest of `one` has a common match with other[place:].
    following = [_all(other[place:], anything) for place in range(len(other) + 1)]
    for left in range(len(one) - 1, -1, -1):
        row = [False] * len(other) + [_all(one[left:], anything)]
        for place in range(len(other) - 1, -1, -1):
            if anything in {one[left], other[place]}:
                row[place] = following[place] or row[place + 1]
            else:
                row[place] = following[place + 1] and alike(one[left], other[place])
        following = row
    return following[0]


def _all(items: Sequence[str], anything: str) -> bool:
    return all(item == anything for item in items)
