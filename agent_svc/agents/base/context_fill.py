"""Adds the fill level of the model's context to usage reports. Pure."""

from collections.abc import Sequence

from heddle import pb


def with_context(events: Sequence[pb.Event], used: object, window: object) -> list[pb.Event]:
    """Returns `events`; their last usage report, if any, contains the fill level of the context.

    `used` and `window` are in tokens. A value that is not a positive number counts as unknown.
    """
    told = [event.usage for event in events if event.HasField("usage")]
    if told and (tokens := _tokens(used)):
        told[-1].context_tokens, told[-1].context_window = tokens, _tokens(window)
    return list(events)


def _tokens(count: object) -> int:
    return count if isinstance(count, int) and 0 < count < 1 << 50 else 0
