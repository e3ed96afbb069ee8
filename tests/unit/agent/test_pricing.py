"""The cost of usage that an agent reports without a price."""

from agent_svc.sessions.pricing import Pricing
from heddle import pb
from heddle.prices import Prices
from scheduler_svc.model.sessions.usage import add_report

PRICES = Prices({"small": {"input": 1, "output": 2}, "large": {"input": 10, "output": 20}})


def usage(model: str, **fields: int) -> pb.Event:
    report = pb.Usage(model=model, input_tokens=10, output_tokens=3)
    for field, value in fields.items():
        setattr(report, field, value)
    return pb.Event(usage=report)


def words(events: list[pb.Event]) -> list[str]:
    return [event.output.text for event in events if event.HasField("output")]


def totals(events: list[pb.Event]) -> pb.UsageTotals:
    sums = pb.UsageTotals()
    for event in events:
        if event.HasField("usage"):
            add_report(sums, event.usage)
    return sums


def test_a_missing_cost_is_estimated_and_said_to_be() -> None:
    """Tokens of a model with a known price get a cost that is marked as estimated."""
    [event] = Pricing(PRICES, budget=None).priced([usage("small")])

    assert event.usage.cost_usd_micros == 16
    assert event.usage.estimated


def test_what_the_agent_says_stays() -> None:
    """A cost that the agent reported is unchanged, even if it is zero."""
    events = Pricing(PRICES, budget=100).priced([usage("small", cost_usd_micros=0)])

    assert [event.usage.cost_usd_micros for event in events] == [0]
    assert not events[0].usage.estimated


def test_an_unknown_price_stays_unknown() -> None:
    """Without a price the cost is absent, and without a budget the log does not mention it."""
    [event] = Pricing(PRICES, budget=None).priced([usage("other")])

    assert not event.usage.HasField("cost_usd_micros")
    assert not event.usage.estimated


def test_an_unknown_price_counts_as_the_dearest_one_against_a_budget() -> None:
    """A model without a price cannot overrun a budget; the session's log says so once per model."""
    pricing = Pricing(PRICES, budget=200)

    events = [*pricing.priced([usage("other")]), *pricing.priced([usage("other"), usage("")])]

    assert [event.usage.cost_usd_micros for event in events if event.HasField("usage")] == [160] * 3
    assert all(event.usage.estimated for event in events if event.HasField("usage"))
    assert pricing.used_up
    told = words(events)
    assert len(told) == 2
    assert "model other" in told[0]
    assert "prices.yaml" in told[0]
    assert "does not name" in told[1]


def test_a_budget_is_used_up_to_the_micro() -> None:
    """A budget is used up when the spending reaches it, not before; an absent budget is never used up."""
    pricing, unlimited = Pricing(PRICES, budget=32), Pricing(PRICES, budget=None)
    seen = []
    for _ in range(2):
        for each in (pricing, unlimited):
            each.priced([usage("small")])
        seen.append((pricing.used_up, unlimited.used_up))
    assert seen == [(False, False), (True, False)]


def test_a_cost_that_comes_later_replaces_the_estimates() -> None:
    """The agent's own cost replaces the estimates: the total counts once and is no longer an estimate."""
    pricing = Pricing(PRICES, budget=None)
    events = pricing.priced([usage("small"), usage("small"), usage("other")])
    assert totals(events).estimated_usd_micros == 32
    assert totals(events).cost_incomplete

    said = pb.Usage(model="small", cost_usd_micros=20, settled_usd_micros=0)
    other = pb.Usage(model="other", cost_usd_micros=7, settled_usd_micros=0)
    events += pricing.priced([pb.Event(usage=said), pb.Event(usage=other)])

    sums = totals(events)
    assert (sums.cost_usd_micros, sums.estimated_usd_micros, sums.cost_incomplete) == (27, 0, False)
    assert sums.input_tokens == 30
    assert pricing.spent == 27
    # Later usage is estimated again.
    assert totals([*events, *pricing.priced([usage("small")])]).estimated_usd_micros == 16


def test_estimates_stay_where_the_agent_never_tells_their_cost() -> None:
    """A settlement without a cost keeps the estimates; a later one settles only newer usage."""
    pricing = Pricing(PRICES, budget=None)
    events = pricing.priced([usage("small"), pb.Event(usage=pb.Usage(model="small", settled_usd_micros=0))])
    events += pricing.priced([usage("small")])
    later = pb.Usage(model="small", cost_usd_micros=5, settled_usd_micros=0)
    events += pricing.priced([pb.Event(usage=later)])

    assert totals(events).cost_usd_micros == 16 + 5
    assert totals(events).estimated_usd_micros == 16


def test_an_agent_that_reports_nothing_is_no_free_one() -> None:
    """If a budget applies, an agent that reports no usage makes the cost unknown."""
    pricing = Pricing(PRICES, budget=100, live=False)
    silent = pricing.unreported(cut_off=False)
    assert totals(silent).cost_incomplete
    assert "not known" in words(silent)[0]
    assert Pricing(PRICES, budget=None, live=False).unreported(cut_off=True) == []
    assert Pricing(PRICES, budget=100, live=True).unreported(cut_off=True) == []

    pricing.priced([usage("small")])
    assert pricing.unreported(cut_off=False) == []
    assert totals(pricing.unreported(cut_off=True)).cost_incomplete


def test_other_events_pass_through() -> None:
    """They are no usage, and what follows them, or a settlement without a cost, is priced too."""
    pricing = Pricing(PRICES, budget=100, live=False)
    text = pb.Event(output=pb.Output(text="hello"))
    assert pricing.priced([text]) == [text]
    assert totals(pricing.unreported(cut_off=False)).cost_incomplete

    unknown = pb.Event(usage=pb.Usage(model="small", settled_usd_micros=0))
    events = pricing.priced([text, unknown, usage("small")])
    assert [event.WhichOneof("payload") for event in events] == ["output", "usage"]
    assert pricing.spent == 16


def test_a_session_has_the_budget_of_its_request() -> None:
    """A request without a budget has no limit; one of zero is used up at once. Reports are live unless said otherwise."""
    limited = Pricing.of(pb.StartSessionRequest(budget_usd_micros=16), PRICES, live=False)
    before = limited.used_up
    limited.priced([usage("small")])
    assert (before, limited.used_up) == (False, True)
    assert totals(limited.unreported(cut_off=True)).cost_incomplete
    unlimited = Pricing.of(pb.StartSessionRequest(), PRICES, live=True)
    unlimited.priced([usage("large")])
    assert not unlimited.used_up
    assert Pricing.of(pb.StartSessionRequest(budget_usd_micros=0), PRICES, live=True).used_up
    assert Pricing(PRICES, budget=100).unreported(cut_off=True) == []
