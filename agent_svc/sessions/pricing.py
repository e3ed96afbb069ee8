"""Estimates the cost of usage that an agent reports without a cost."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from agent_svc.text import system
from heddle import pb
from heddle.prices import Prices


class Pricing:
    """Prices the usage reports of one session.

    `budget` is in millionths of a US dollar, None for no limit. `live` means that the agent
    reports after each call of its model. With a budget, a model without a known price
    counts as the most expensive model in the price table.
    """

    def __init__(self, prices: Prices, *, budget: int | None, live: bool = True) -> None:
        self._prices = prices
        self._budget = budget
        self._live = live
        # Models whose missing price was already reported.
        self._told: set[str] = set()
        # Estimated costs by model, until the agent reports the actual cost.
        self._estimates: defaultdict[str, int] = defaultdict(int)
        # True once the agent has reported any usage.
        self._reported = False
        # Known and estimated costs so far, in millionths of a US dollar.
        self.spent = 0

    @classmethod
    def of(cls, session: pb.StartSessionRequest, prices: Prices, *, live: bool) -> Self:
        """Returns the pricing for the usage reports of `session`."""
        limited = session.HasField("budget_usd_micros")
        return cls(prices, budget=session.budget_usd_micros if limited else None, live=live)

    @property
    def used_up(self) -> bool:
        """True if the session has a budget and nothing is left of it."""
        return self._budget is not None and self.spent >= self._budget

    def priced(self, events: Iterable[pb.Event]) -> list[pb.Event]:
        """Returns `events` with estimated costs added, and a note for each model without a known price."""
        told: list[pb.Event] = []
        for event in events:
            if event.HasField("usage") and event.usage.HasField("settled_usd_micros"):
                estimate = self._estimates.pop(event.usage.model, 0)
                if not event.usage.HasField("cost_usd_micros"):
                    # The agent will not report the actual cost, so the estimate stays.
                    continue
                event.usage.settled_usd_micros = estimate
                event.usage.cost_usd_micros -= estimate
            told.append(event)
            if not event.HasField("usage"):
                continue
            self._reported = True
            if not event.usage.HasField("cost_usd_micros"):
                told += self._estimate(event.usage)
            self.spent += event.usage.cost_usd_micros
        return told

    def unreported(self, *, cut_off: bool) -> list[pb.Event]:
        """Returns the events that report unknown costs, for an agent that ended and does not report live.

        Empty without a budget, and if the agent reported its usage and was not `cut_off`, which
        means that it was ended before it could report.
        """
        if self._live or self._budget is None or (self._reported and not cut_off):
            return []
        note = "This agent did not report all that it used, so its cost is not known and the budget cannot count it."
        return [pb.Event(usage=pb.Usage()), system(f"{note}\n")]

    def _estimate(self, usage: pb.Usage) -> list[pb.Event]:
        cost = self._prices.cost(usage)
        told = []
        if cost is None and self._budget is not None:
            cost = self._prices.highest(usage)
            if usage.model not in self._told:
                self._told.add(usage.model)
                told.append(_unpriced(usage.model))
        if cost is not None:
            usage.cost_usd_micros = cost
            usage.estimated = True
            self._estimates[usage.model] += cost
        return told


def _unpriced(model: str) -> pb.Event:
    named = f"model {model}" if model else "the model, which the agent does not name,"
    return system(
        f"No price is known for {named}, so against the budget it counts as the dearest model of the table;"
        " put its price into prices.yaml in the worker's HEDDLE_HOME.\n"
    )
