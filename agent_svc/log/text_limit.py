"""Limits the text that a session stores: keeps its beginning and its end. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from agent_svc.log.recorder import join
from agent_svc.text import clip
from heddle import pb

# Shares of the limit: the beginning, which is stored at once; later details of tool calls; and the end.
_HEAD: Final = 6 / 8
_TOOLS: Final = 1 / 8
_TAIL: Final = 1 / 8

# Bytes left out before the second report; the threshold then doubles.
_FIRST_REPORT: Final = 1 << 20

# Bytes kept of the input or result of a tool call after the beginning.
_DETAIL_BYTES: Final = 1 << 10

# Bytes that an event uses in memory in addition to its text.
_OVERHEAD: Final = 256


class TextLimit:
    """Limits the bytes of text that one part of a session stores. 0 means no limit.

    Once the limit is reached, raw output and the model's text are left out, and the input and
    results of tool calls are truncated. If even those exceed their share, they are left out as well.
    All other events are stored: usage, questions, the operator's messages.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = int(limit * _HEAD)
        self._tools = int(limit * _TOOLS)
        self._kept: deque[pb.Event] = deque()
        self._kept_bytes = 0
        self._left_out = 0
        self._report_at = 0
        # The actor whose text was left out.
        self._actor = ""

    def admit(self, events: Iterable[pb.Event]) -> list[pb.Event]:
        """Returns those of `events` that are stored now. Each event must have its actor set."""
        return list(events) if not self._limit else [each for event in events for each in self._take(event)]

    def end(self) -> list[pb.Event]:
        """Returns the retained end of the text and forgets it."""
        kept = list(self._kept)
        if self._left_out:
            report = self._report(final=True)
            report.actor = self._actor
            kept.insert(0, report)
        self._kept.clear()
        self._kept_bytes = self._left_out = self._report_at = 0
        return kept

    def _take(self, event: pb.Event) -> Iterator[pb.Event]:
        size = event.ByteSize()
        if not _counts(event):
            yield event
        elif self._head > 0 and not self._kept:
            self._head -= size
            yield event
        elif _is_call(event) and self._tools > 0:
            self._cut(event)
            self._tools -= event.ByteSize()
            self._left_out += size - event.ByteSize()
            yield event
        else:
            self._keep(event)
        if self._left_out > self._report_at:
            self._actor = event.actor
            self._report_at = max(_FIRST_REPORT, 2 * self._left_out)
            yield self._report(final=False)

    def _keep(self, event: pb.Event) -> None:
        before = self._kept[-1].ByteSize() if self._kept else 0
        if self._kept and join(self._kept[-1], event):
            self._kept_bytes += self._kept[-1].ByteSize() - before
        else:
            self._kept.append(event)
            self._kept_bytes += event.ByteSize() + _OVERHEAD
        # The last event is always kept.
        while self._kept_bytes > self._limit * _TAIL and len(self._kept) > 1:
            dropped = self._kept.popleft().ByteSize()
            self._kept_bytes -= dropped + _OVERHEAD
            self._left_out += dropped

    def _cut(self, event: pb.Event) -> None:
        for details in (event.tool_started, event.tool_finished):
            for field, value in details.ListFields():
                if field.name in {"input", "result"} and len(value) > _DETAIL_BYTES:
                    setattr(
                        details,
                        field.name,
                        f"{clip(value, _DETAIL_BYTES)}\n[cut: the session writes too much]",
                    )

    def _report(self, *, final: bool) -> pb.Event:
        told = pb.OutputLeftOut(left_out_bytes=self._left_out, limit_bytes=self._limit, final=final)
        return pb.Event(output_left_out=told)


def _counts(event: pb.Event) -> bool:
    """Returns whether an event contains text from the agent or from a program that it started."""
    if event.HasField("output"):
        return event.output.stream != pb.OUTPUT_STREAM_SYSTEM or event.actor.startswith("agent:")
    if event.HasField("message"):
        return event.message.kind != pb.MESSAGE_KIND_OPERATOR
    return _is_call(event)


def _is_call(event: pb.Event) -> bool:
    return event.HasField("tool_started") or event.HasField("tool_finished")
