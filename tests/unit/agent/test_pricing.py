"""What an agent's reports cost that come without a price."""

from agent_svc.pricing import Pricing
from heddle import pb
from heddle.prices import Prices

PRICES = Prices({"small": {"input": 1, "output": 2}})


def usage(model: str, **fields: int) -> pb.Event:
    report = pb.Usage(model=model, input_tokens=10, output_tokens=3)
    for field, value in fields.items():
        setattr(report, field, value)
    return pb.Event(usage=report)


def test_a_missing_cost_is_estimated_and_said_to_be() -> None:
    """Tokens of a model with a known price get a cost that is marked as estimated."""
    [event] = Pricing(PRICES, has_budget=False).priced([usage("small")])

    assert event.usage.cost_usd_micros == 16
    assert event.usage.estimated


def test_what_the_agent_says_stays() -> None:
    """A cost that the agent told is taken as it is, also where it is nothing."""
    events = Pricing(PRICES, has_budget=True).priced([usage("small", cost_usd_micros=0)])

    assert [event.usage.cost_usd_micros for event in events] == [0]
    assert not events[0].usage.estimated


def test_an_unknown_price_stays_unknown() -> None:
    """Without a price there is no cost, not even none; nobody is told where no budget counts on it."""
    [event] = Pricing(PRICES, has_budget=False).priced([usage("other")])

    assert not event.usage.HasField("cost_usd_micros")
    assert not event.usage.estimated


def test_a_budget_that_cannot_see_a_cost_is_told_once() -> None:
    """The session's log says, once for each model, that its use does not count towards the budget."""
    pricing = Pricing(PRICES, has_budget=True)

    events = [*pricing.priced([usage("other")]), *pricing.priced([usage("other"), usage("")])]

    words = [event.output.text for event in events if event.HasField("output")]
    assert len(words) == 2
    assert "model other" in words[0]
    assert "prices.yaml" in words[0]
    assert "does not name" in words[1]
