"""The file of a session's events, appended in frames that reach the disk before watchers receive them.

A frame is one batch: the length and the CRC-32 of its body, both 32 bits little
endian, then the body, a serialised AgentServiceWatchSessionResponse with only
events. The bytes on disk are therefore the bytes that are sent to watchers.
"""

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from heddle import pb
from heddle.failpoints import failpoint

HEADER: Final = struct.Struct("<II")

# A response contains at most 256 KiB and only whole frames.
MAX_RESPONSE_BYTES: Final = 256 << 10
MAX_FRAME_BYTES: Final = 192 << 10

# Room for the other fields of a response and its gRPC message header.
MARGIN: Final = 1 << 10


class EventLog:
    """One session's events, numbered 1..n. Keeps only the position of each frame in memory.

    Blocks on disk access, so call it in a thread. Only one caller may append at a time;
    reads may run concurrently.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The first sequence number and the offset of each frame. The last bound is the end of the file.
        self._firsts: list[int] = []
        self._bounds: list[int] = [0]
        self._file: int | None = None
        self.last_sequence = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Returns the log at `path`, which may not exist yet, for reading and appending.

        Removes an incomplete last record, which a crash leaves behind. No watcher has received it.
        """
        log = cls(path)
        log._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        log._scan(log._file)
        os.ftruncate(log._file, log._bounds[-1])
        return log

    @classmethod
    def view(cls, path: Path) -> Self:
        """Returns the log at `path` for reading only. If the file does not exist, the log is empty."""
        log = cls(path)
        if path.exists():
            with path.open("rb") as file:
                log._scan(file.fileno())
        return log

    def _scan(self, file: int) -> None:
        size = os.fstat(file).st_size
        while len(header := os.pread(file, HEADER.size, self._bounds[-1])) == HEADER.size:
            length, checksum = HEADER.unpack(header)
            begin = self._bounds[-1] + HEADER.size
            # A partially written header may contain any length.
            if begin + length > size:
                return
            body = os.pread(file, length, begin)
            if zlib.crc32(body) != checksum:
                return
            count = len(pb.AgentServiceWatchSessionResponse.FromString(body).events)
            self._index(HEADER.size + length, count)

    def _index(self, length: int, count: int) -> None:
        self._firsts.append(self.last_sequence + 1)
        self._bounds.append(self._bounds[-1] + length)
        self.last_sequence += count

    def append(self, events: Sequence[pb.Event]) -> None:
        """Numbers `events`, writes them in one batch and returns when they are on disk.

        Raises OSError, for example ENOSPC. None of the events is stored then.
        """
        if self._file is None:
            raise ValueError(f"{self._path} is closed")
        frames = []
        for sequence, event in enumerate(events, self.last_sequence + 1):
            event.sequence = sequence
        for part in _parts(events):
            body = pb.AgentServiceWatchSessionResponse(events=part).SerializeToString()
            frames.append((HEADER.pack(len(body), zlib.crc32(body)) + body, len(part)))
        try:
            _write(self._file, b"".join(frame for frame, _ in frames))
            failpoint("events.before_sync")
            os.fsync(self._file)
            failpoint("events.after_sync")
        except OSError:
            os.ftruncate(self._file, self._bounds[-1])
            raise
        for frame, count in frames:
            self._index(len(frame), count)

    def read(self, after: int, last: int) -> pb.AgentServiceWatchSessionResponse:
        """Returns events from `after` + 1 to `last`, at most 256 KiB. At least one must exist."""
        first = bisect_right(self._firsts, after + 1) - 1
        begin = self._bounds[first]
        fits = bisect_right(self._bounds, begin + MAX_RESPONSE_BYTES - MARGIN) - 1
        end = self._bounds[max(fits, first + 1)]
        response = pb.AgentServiceWatchSessionResponse()
        with self._path.open("rb") as file:
            data = os.pread(file.fileno(), end - begin, begin)
        place = 0
        while place < len(data):
            length, _ = HEADER.unpack_from(data, place)
            place += HEADER.size + length
            response.MergeFromString(data[place - length : place])
        del response.events[: after - self._firsts[first] + 1]
        del response.events[last - after :]
        response.resume_sequence = after + len(response.events)
        return response

    def last_event(self) -> pb.Event | None:
        """Returns the newest event; None if the log is empty."""
        if not self.last_sequence:
            return None
        return self.read(self.last_sequence - 1, self.last_sequence).events[0]

    def close(self) -> None:
        """Closes the log for appending. Reading still works. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _parts(events: Sequence[pb.Event]) -> list[list[pb.Event]]:
    parts: list[list[pb.Event]] = [[]]
    room = MAX_FRAME_BYTES
    for event in events:
        # The tag and length of the field need at most 5 bytes at these sizes.
        size = event.ByteSize() + 5
        if size > room and parts[-1]:
            parts.append([])
            room = MAX_FRAME_BYTES
        parts[-1].append(event)
        room -= size
    return parts


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
