"""The patches by which codex changes files, in its own format, by file. Pure."""

import re
from typing import Final

_FILE: Final = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$")
_MOVED: Final = "*** Move to: "


def texts(patch: str) -> dict[str, str]:
    """Returns what the patch does to each file, by its path as codex writes it.

    Of a new file its text, of another the lines that change, and of one that moves under both paths.
    """
    found: dict[str, str] = {}
    paths: list[str] = []
    kind, lines = "", list[str]()

    def take() -> None:
        for path in paths:
            found[path] = "\n".join(line[1:] for line in lines) if kind == "Add" else "\n".join(lines)

    for line in patch.splitlines():
        if begun := _FILE.match(line):
            take()
            kind, paths, lines = begun[1], [begun[2].strip()], []
        elif line.startswith(_MOVED):
            paths.append(line.removeprefix(_MOVED).strip())
        elif not line.startswith("*** "):
            # People's views know a change by the heads of its parts, which here may be bare.
            lines.append("@@ " if line == "@@" else line)
    take()
    return found
