"""Reads the token usage of Claude's model calls from their streams, before any cost is known. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from agent_svc.agents.claude.messages.usage import input_tokens
from heddle import pb

# Anthropic's names of the four kinds of tokens.
_TOKENS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
}

# A larger number is not a count of tokens.
_MOST: Final = 1 << 50


class OpenCall:
    """The call that the model is answering. There is at most one at a time."""

    def __init__(self) -> None:
        self._open: pb.Usage | None = None

    def take(self, event: Mapping[str, Any]) -> pb.Usage | None:
        """Processes an event of the stream; returns the usage of a call once it is answered."""
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._open = used(message.get("model"), message.get("usage"))
            case "message_delta" if self._open is not None:
                # Its counts are totals of the call. Omitted counts have not changed.
                told = used("", event.get("usage"))
                for ours in _TOKENS:
                    setattr(self._open, ours, getattr(told, ours) or getattr(self._open, ours))
            case "message_stop":
                return self.rest()
        return None

    def settle(self, told: Iterable[pb.Usage]) -> None:
        """Drops the open call if `told`, the total usage since the last call, includes it."""
        if self._open is not None and sum(map(input_tokens, told)) >= input_tokens(self._open):
            self._open = None

    def rest(self) -> pb.Usage | None:
        """Returns, once, the usage of the call that is still open; None if no call is open."""
        told, self._open = self._open, None
        return told


def used(model: object, counts: object) -> pb.Usage:
    """Returns the usage of one call from Anthropic's counts, without a cost; an invalid count is 0."""
    told = pb.Usage(model=model.encode(errors="replace").decode() if isinstance(model, str) else "")
    for ours, theirs in _TOKENS.items():
        count = counts.get(theirs) if isinstance(counts, Mapping) else None
        if isinstance(count, int) and 0 <= count < _MOST:
            setattr(told, ours, count)
    return told


def tokens_of(call: pb.Usage) -> int:
    """Returns how many tokens of the model's context a call and its answer occupy."""
    return input_tokens(call) + call.output_tokens
