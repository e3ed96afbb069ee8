"""Splits codex's patches, which have their own format, by file. Pure."""

import re
from typing import Final

_FILE: Final = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$")
_MOVED: Final = "*** Move to: "


def texts(patch: str) -> dict[str, str]:
    """Returns the change of each file in the patch, by the path that codex uses.

    The change is the text of a new file, or the changed lines of an existing file. A moved file is
    listed under both paths.
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
            # The views recognize a change by its hunk headers, which may be bare here.
            lines.append("@@ " if line == "@@" else line)
    take()
    return found
