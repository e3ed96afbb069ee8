"""An ACP agent's reports of tokens and cost, as differences. Pure."""

from typing import Final

from acp.schema import Cost, Usage

from heddle import pb

MICROS: Final = 1_000_000


class Spending:
    """Turns cumulative cost into what was spent since the last report.

    Cost in another currency than USD counts as unknown.
    """

    def __init__(self) -> None:
        # As the agent names it. Empty: it does not say.
        self.model = ""
        # In micros, since the session began, also in an earlier attempt.
        self.total = 0
        self._reports = False

    def cost(self, cost: Cost | None) -> list[pb.Event]:
        """Returns the usage for a report of what the session cost so far.

        A cost of zero has no meaning: a model without a price has it, too.
        """
        if cost is None or cost.currency.upper() != "USD" or not cost.amount:
            return []
        self._reports = True
        spent = self._take(cost)
        return [pb.Event(usage=pb.Usage(model=self.model, cost_usd_micros=spent))] if spent else []

    def tokens(self, usage: Usage | None) -> list[pb.Event]:
        """Returns the usage of one turn; its cost is the part of `cost` that is not reported yet."""
        if usage is None:
            return []
        read, write = usage.cached_read_tokens or 0, usage.cached_write_tokens or 0
        # Some count thoughts in the output, some separately; the total shows which.
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
        # It counts from zero again if the agent started a new session.
        return spent if spent >= 0 else total
