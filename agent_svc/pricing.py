"""Puts a price on what an agent reports without one."""

from collections.abc import Iterable

from agent_svc.journal import system
from heddle import pb
from heddle.prices import Prices


class Pricing:
    """Prices the reports of one session; `has_budget`: somebody counts on its cost."""

    def __init__(self, prices: Prices, *, has_budget: bool) -> None:
        self._prices = prices
        self._has_budget = has_budget
        # Models of which it was said that nobody knows their price.
        self._told: set[str] = set()

    def priced(self, events: Iterable[pb.Event]) -> list[pb.Event]:
        """Returns `events`, with estimated costs, and a word where a budget cannot see one."""
        told: list[pb.Event] = []
        for event in events:
            told.append(event)
            if not event.HasField("usage") or event.usage.HasField("cost_usd_micros"):
                continue
            cost = self._prices.cost(event.usage)
            if cost is not None:
                event.usage.cost_usd_micros = cost
                event.usage.estimated = True
            elif self._has_budget and event.usage.model not in self._told:
                self._told.add(event.usage.model)
                told.append(_unpriced(event.usage.model))
        return told


def _unpriced(model: str) -> pb.Event:
    named = f"model {model}" if model else "the model, which the agent does not name,"
    return system(
        f"Nobody knows what {named} costs, so its use does not count towards the budget;"
        " put its price into prices.yaml in the worker's HEDDLE_HOME.\n"
    )
