"""The output of a service: all of it goes to its log file, warnings and errors also to the operator."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10 << 20
LONGEST_LINE: Final = 64 << 10

# The level as heddle.logs writes it: "[warning  ]" for people, "level": "warning" for machines.
_LEVEL: Final = re.compile(r'^\d{4}-\S+ \[(\w+) *\]|"level": ?"(\w+)"')
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_TOLD: Final = frozenset({"warning", "error", "critical"})


class _LineFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Drops the line: a full disk must neither end the services nor print a traceback per line."""


class ServiceLog:
    """The log of one service, across its restarts: two files of at most ten megabytes each."""

    def __init__(self, name: str, path: Path, tell: Callable[[str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.last_lines: deque[str] = deque(maxlen=20)
        self._name = name
        self._tell = tell
        self._telling = False
        self._file = _LineFile(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8")

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Logs every line until the service closes its end of the stream."""
        pending = b""
        while piece := await stream.read(LONGEST_LINE):
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                self._take(line)
            if len(pending) > LONGEST_LINE:
                self._take(pending)
                pending = b""
        if pending:
            self._take(pending)

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._file.close()

    def _take(self, raw: bytes) -> None:
        line = _COLOUR.sub("", raw.decode(errors="replace")).rstrip()
        self.last_lines.append(line)
        self._file.emit(logging.makeLogRecord({"msg": f"{self._name}: {line}"}))
        # The lines of a traceback have no level; they belong to the line above.
        if level := level_of(line):
            self._telling = level in _TOLD
        if self._telling and line:
            self._tell(f"{self._name}: {line}")


def level_of(line: str) -> str | None:
    """Returns the level of a log line; None if it has none."""
    found = _LEVEL.search(line)
    return (found[1] or found[2]) if found else None
