"""What calls of Claude's model use, as their streams tell it before anything has a price. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from heddle import pb

# Anthropic's names of the four kinds of tokens.
_TOKENS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
}


class OpenCall:
    """The call that is being answered: one at a time."""

    def __init__(self) -> None:
        self._open: pb.Usage | None = None

    def take(self, event: Mapping[str, Any]) -> pb.Usage | None:
        """Takes an event of the stream; returns what a call has used once it is answered."""
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._open = used(message["model"], message["usage"])
            case "message_delta" if self._open is not None:
                # Its counts are totals of the call; those that it leaves out have not changed.
                for ours, theirs in _TOKENS.items():
                    if (count := event["usage"].get(theirs)) is not None:
                        setattr(self._open, ours, count)
            case "message_stop":
                return self.rest()
        return None

    def settle(self, told: Iterable[pb.Usage]) -> None:
        """Forgets a call that is open where `told`, all that was used since the last call, holds it."""
        if self._open is not None and sum(map(_input, told)) >= _input(self._open):
            self._open = None

    def rest(self) -> pb.Usage | None:
        """Returns what a call has used that is not answered to its end, once; None where none is open."""
        told, self._open = self._open, None
        return told


def used(model: str, counts: Mapping[str, Any]) -> pb.Usage:
    """Returns Anthropic's counts of one call, without a cost."""
    told = pb.Usage(model=model)
    for ours, theirs in _TOKENS.items():
        setattr(told, ours, counts.get(theirs) or 0)
    return told


def _input(call: pb.Usage) -> int:
    return call.input_tokens + call.cache_read_tokens + call.cache_write_tokens
