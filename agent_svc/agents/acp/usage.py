"""Translates an ACP agent's cumulative reports of tokens and cost to differences. Pure."""

from typing import Final

from acp.schema import Cost, Usage

from heddle import pb

MICROS: Final = 1_000_000


class Spending:
    """Translates cumulative cost to the cost since the last report.

    Cost in a currency other than USD counts as unknown.
    """

    def __init__(self) -> None:
        # The agent's name of the model. Empty: unknown.
        self.model = ""
        # In micros of a US dollar, since the session began, including earlier attempts.
        self.total = 0
        self._reports = False

    def cost(self, cost: Cost | None) -> list[pb.Event]:
        """Returns the usage for a report of the session's cost so far.

        Ignores a cost of zero: a model without a price also reports it.
        """
        if cost is None or cost.currency.upper() != "USD" or not cost.amount:
            return []
        self._reports = True
        spent = self._take(cost)
        return [pb.Event(usage=pb.Usage(model=self.model, cost_usd_micros=spent))] if spent else []

    def tokens(self, usage: Usage | None) -> list[pb.Event]:
        """Returns the token usage of one turn; its cost is 0 if `cost` reports it, otherwise unknown."""
        if usage is None:
            return []
        read, write = usage.cached_read_tokens or 0, usage.cached_write_tokens or 0
        # Some agents count thoughts as output, others separately. The total shows which.
        output = max(usage.output_tokens, usage.total_tokens - usage.input_tokens - read - write)
        told = pb.Usage(
            model=self.model,
            input_tokens=usage.input_tokens,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=write,
        )
        if self._reports:
            told.cost_usd_micros = 0
        return [pb.Event(usage=told)]

    def _take(self, cost: Cost) -> int:
        total = round(cost.amount * MICROS)
        spent, self.total = total - self.total, total
        # The total starts again from zero if the agent started a new session.
        return spent if spent >= 0 else total
