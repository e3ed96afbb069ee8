"""The scripted agent's connection to agent_svc, and its timing."""

import time
from typing import BinaryIO, Final

from agent_svc.agents.base import protocol
from agent_svc.agents.scripted.input_lines import InputLines
from heddle import pb

# Seconds between two pieces of text at speed factor 1, about as fast as a model.
PIECE: Final = 0.03

# Characters in a piece of text.
PIECE_LENGTH: Final = 12


class Stage:
    """Sends events and waits for answers. `speed` is a factor for every natural pause; 0: no pauses."""

    def __init__(self, incoming: InputLines, outgoing: BinaryIO, speed: float) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._speed = speed
        # The number of operator messages that were read.
        self._heard = 0

    def greet(self) -> None:
        self._write(protocol.greeting())

    def send(self, event: pb.Event) -> None:
        self._write(protocol.line_of(event))

    def _write(self, line: bytes) -> None:
        self._outgoing.write(line)
        self._outgoing.flush()

    def pause(self, seconds: float) -> None:
        """Pauses as an agent would; the pause is `seconds` long at speed factor 1."""
        if self._speed:
            time.sleep(seconds * self._speed)

    def speak(self, text: str, kind: "pb.MessageKind.ValueType") -> None:
        """Streams `text` in pieces, as a model would."""
        step = PIECE_LENGTH if self._speed else max(len(text), 1)
        for begin in range(0, max(len(text), 1), step):
            piece = text[begin : begin + step]
            last = begin + step >= len(text)
            self.send(pb.Event(message=pb.Message(kind=kind, text=piece, last=last)))
            self.pause(PIECE)

    def answer(self, approval_id: str, patience: float | None = None) -> pb.ApprovalResolved | None:
        """Waits for the operator's answer; None if agent_svc closed the connection.

        After `patience` seconds, reports and returns a denial.
        """
        until = None if patience is None else time.monotonic() + patience
        while line := self._incoming.line(None if until is None else until - time.monotonic()):
            event = protocol.parse_event(line)
            if event.approval_resolved.approval_id == approval_id:
                return event.approval_resolved
            self._echo(event)
        if until is None or self._incoming.ended:
            return None
        denied = pb.ApprovalResolved(approval_id=approval_id, message=f"{protocol.UNANSWERED} {patience:g} s")
        self.send(pb.Event(approval_resolved=denied))
        return denied

    def wait(self, seconds: float) -> None:
        """Waits for `seconds` and repeats the operator's messages meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if line := self._incoming.line(left):
                self._echo(protocol.parse_event(line))

    def close(self) -> None:
        """Returns once agent_svc confirms the end; repeats the operator's messages meanwhile."""
        self._write(protocol.closing(self._heard))
        while (line := self._incoming.line()) and line + b"\n" != protocol.closed():
            self._echo(protocol.parse_event(line))
            self._write(protocol.closing(self._heard))

    def _echo(self, event: pb.Event) -> None:
        if event.message.kind == pb.MESSAGE_KIND_OPERATOR:
            self._heard += 1
            self.speak(f"The operator says: {event.message.text}", pb.MESSAGE_KIND_TEXT)
