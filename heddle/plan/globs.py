"""Whether two globs can name the same path.

`*` and `?` stay within one part of a path, `**` as a whole part stands for any
number of parts, and a glob that names a folder covers what lies in it. Other
characters stand for themselves, `[` too.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

ANY_DEPTH: Final = "**"

_WILD: Final = frozenset("*?")


def overlap(one: str, other: str) -> bool:
    """Says whether some path is matched by both globs."""
    parts, other_parts = _parts(one), _parts(other)
    # Most pairs differ in a folder near the top; a plan of a thousand epics has millions of pairs.
    for part, other_part in zip(parts, other_parts, strict=False):
        if ANY_DEPTH in {part, other_part}:
            break
        if part != other_part and not _names_meet(part, other_part):
            return False
    return _meet(parts, other_parts, ANY_DEPTH, _names_meet)


@lru_cache(maxsize=10_000)
def _parts(glob: str) -> tuple[str, ...]:
    # The last part may be a folder, so anything may follow it.
    return (*(part for part in glob.split("/") if part not in {"", "."}), ANY_DEPTH)


def _names_meet(one: str, other: str) -> bool:
    if not _WILD.intersection(one + other):
        return one == other
    return _meet(one, other, "*", _characters_meet)


def _characters_meet(one: str, other: str) -> bool:
    return one == other or "?" in {one, other}


def _meet(one: Sequence[str], other: Sequence[str], anything: str, alike: Callable[[str, str], bool]) -> bool:
    """Says whether two patterns have a common match; `anything` stands for any number of items."""
    # following[place]: what is left of `one` has a common match with other[place:].
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
