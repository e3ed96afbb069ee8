"""Translates the total usage of a Claude session to the usage since the last report. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from heddle import pb

# Claude's names of the four kinds of tokens in its totals.
TOKENS: Final = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheCreationInputTokens",
}

# Maximum number of sub-agents' calls that wait for their usage; further ones are not told apart.
_MOST_OPEN: Final = 100


class SubAgentCalls:
    """Tells the usage of sub-agents apart in the reports, which are totals of the whole session.

    A call is recognized by the number of its input tokens. A report that contains calls of several agents
    belongs to none.
    """

    def __init__(self) -> None:
        # By the id of their message: the sub-agent's call, and the input tokens. Each is counted once.
        self._open: dict[str, tuple[str, int]] = {}
        # By sub-agent: its latest message, which arrives once for each of its blocks.
        self._latest: dict[str, str] = {}
        # By sub-agent: what it works on.
        self._titles: dict[str, str] = {}

    def begin(self, event: pb.Event) -> None:
        """Notes the call that starts a sub-agent; ignores other events."""
        if event.tool_started.kind == pb.TOOL_KIND_DELEGATE:
            self._titles[event.tool_started.tool_call_id] = event.tool_started.target

    def take(self, parent: str, message: str, call: pb.Usage) -> None:
        """Notes the model call of a sub-agent's message."""
        if self._latest.get(parent) == message or len(self._open) >= _MOST_OPEN:
            return
        self._latest[parent] = message
        self._open[message] = parent, input_tokens(call)

    def name(self, reports: Iterable[pb.Event]) -> None:
        """Names in each report of usage the sub-agent, if it is the usage of one."""
        for event in reports:
            count = input_tokens(event.usage)
            mine = next(({key} for key, (_, tokens) in self._open.items() if tokens == count), set())
            if not mine:
                for parent in {parent for parent, _ in self._open.values()}:
                    calls = {key for key, (other, _) in self._open.items() if other == parent}
                    if sum(self._open[key][1] for key in calls) == count:
                        mine = calls
            for key in mine:
                parent, _ = self._open.pop(key)
                event.usage.parent_tool_call_id = parent
                event.usage.sub_agent = self._titles.get(parent, "")
            if not mine and count >= sum(tokens for _, tokens in self._open.values()):
                # It includes them all.
                self._open.clear()


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


def input_tokens(used: pb.Usage) -> int:
    """Returns how many tokens the model read."""
    return used.input_tokens + used.cache_read_tokens + used.cache_write_tokens
