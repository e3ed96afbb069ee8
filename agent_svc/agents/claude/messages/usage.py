"""Translates the total usage of a Claude session to the usage since the last report. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from heddle import pb

# Claude's names of the four kinds of tokens in its totals.
TOKENS: Final = {
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
        self._reported = {model: total_of(model, told) for model, told in used.items()}

    def report(self, used: Mapping[str, Any]) -> list[pb.Event]:
        """Returns an event for each model that has used something since the last report.

        `used` is a model_usage: tokens and USD since the session began, by model.
        """
        events = []
        for model, told in used.items():
            total = total_of(model, told)
            since = difference(total, self._reported.get(model, pb.Usage(cost_usd_micros=0)))
            self._reported[model] = total
            if any(getattr(since, field) for field in (*TOKENS, "cost_usd_micros")):
                events.append(pb.Event(usage=since))
        return events


def total_of(model: str, told: Mapping[str, Any]) -> pb.Usage:
    """Returns Claude's total of one model as usage; without a cost if Claude reports none."""
    total = pb.Usage(model=model)
    for ours, theirs in TOKENS.items():
        setattr(total, ours, int(told.get(theirs) or 0))
    if (cost := told.get("costUSD")) is not None:
        total.cost_usd_micros = round(cost * 1_000_000)
    return total


def difference(total: pb.Usage, reported: pb.Usage) -> pb.Usage:
    """Returns the usage in `total` that is not in `reported`."""
    # If a total decreased, Claude restarted the count.
    since = pb.Usage(model=total.model)
    for field in TOKENS:
        setattr(since, field, max(0, getattr(total, field) - getattr(reported, field)))
    if total.HasField("cost_usd_micros"):
        since.cost_usd_micros = max(0, total.cost_usd_micros - reported.cost_usd_micros)
    return since
