"""Fenced code blocks in the Markdown that agents write, and in prompts. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_TICKS: Final = re.compile("`{3,}")


class Block(NamedTuple):
    """A fenced block."""

    # With a line break at the end of each line.
    content: str
    # The first word after the opening fence in lower case, such as "json". Empty: none.
    language: str
    # False: the text ends within the block.
    closed: bool


def parts(text: str) -> Iterator[str | Block]:
    """Yields each line outside of fenced blocks, and each block, in their order."""
    opening, language, indent = "", "", 0
    inside: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if not opening:
            if fence:
                opening, indent, inside = fence[2], len(fence[1]), []
                language = next(iter(fence[3].lower().split()), "")
            else:
                yield line
        elif fence and fence[2].startswith(opening) and not fence[3].strip():
            yield Block(_content(inside, indent), language, closed=True)
            opening = ""
        else:
            inside.append(line)
    if opening:
        yield Block(_content(inside, indent), language, closed=False)


def fenced(text: str, language: str = "") -> str:
    """Returns the text as a block whose fence is longer than any in the text."""
    fence = "`" * max(4, *(len(found) + 1 for found in _TICKS.findall(text)), 4)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _content(lines: Sequence[str], indent: int) -> str:
    """Returns the lines of a block without the indent of its fence, if all of them have it."""
    shared = not any(line[:indent].strip() for line in lines)
    return "".join(f"{line[indent:] if shared else line}\n" for line in lines)
