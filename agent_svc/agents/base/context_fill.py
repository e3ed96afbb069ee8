"""How full the context of an agent's model is. Pure."""

from collections.abc import Sequence

from heddle import pb


def with_context(events: Sequence[pb.Event], used: object, window: object) -> list[pb.Event]:
    """Returns `events` with the fill of the context in their last report of usage, where they have one.

    `used` and `window` are in tokens; what is not a positive number is not known.
    """
    told = [event.usage for event in events if event.HasField("usage")]
    if told and (tokens := _tokens(used)):
        told[-1].context_tokens, told[-1].context_window = tokens, _tokens(window)
    return list(events)


def _tokens(count: object) -> int:
    return count if isinstance(count, int) and 0 < count < 1 << 50 else 0
