"""Translates the total usage of a Claude session to the usage since the last report. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from heddle import pb

# Claude's names of the four kinds of tokens.
_TOKENS: Final = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheCreationInputTokens",
}


class Spending:
    """Keeps the reported usage by model. Excludes what a resumed session used earlier."""

    def __init__(self) -> None:
        self._reported: dict[str, pb.Usage] = {}

    def begin(self, used: Mapping[str, Any]) -> None:
        """Counts the usage of the session so far as already reported."""
        self._reported = {model: _total(model, told) for model, told in used.items()}

    def report(self, used: Mapping[str, Any]) -> list[pb.Event]:
        """Returns an event for each model that has used something since the last report.

        `used` is a model_usage: tokens and USD since the session began, by model.
        """
        events = []
        for model, told in used.items():
            total = _total(model, told)
            since = _difference(total, self._reported.get(model, pb.Usage(cost_usd_micros=0)))
            self._reported[model] = total
            if any(getattr(since, field) for field in (*_TOKENS, "cost_usd_micros")):
                events.append(pb.Event(usage=since))
        return events


def _total(model: str, told: Mapping[str, Any]) -> pb.Usage:
    total = pb.Usage(model=model)
    for ours, theirs in _TOKENS.items():
        setattr(total, ours, int(told.get(theirs) or 0))
    if (cost := told.get("costUSD")) is not None:
        total.cost_usd_micros = round(cost * 1_000_000)
    return total


def _difference(total: pb.Usage, reported: pb.Usage) -> pb.Usage:
    # If a total decreased, Claude restarted the count.
    since = pb.Usage(model=total.model)
    for field in _TOKENS:
        setattr(since, field, max(0, getattr(total, field) - getattr(reported, field)))
    if total.HasField("cost_usd_micros"):
        since.cost_usd_micros = max(0, total.cost_usd_micros - reported.cost_usd_micros)
    return since
