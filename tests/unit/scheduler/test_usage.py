"""Sums of tokens and costs."""

from heddle import pb
from scheduler_svc.model.sessions.usage import add_report, total


def totals(*reports: pb.Usage) -> pb.UsageTotals:
    sums = pb.UsageTotals()
    for report in reports:
        add_report(sums, report)
    return sums


def test_every_kind_of_token_is_added_up() -> None:
    """Each kind has its own sum, in all and by model; models are in order of their names."""
    found = totals(
        pb.Usage(model="b", input_tokens=1, output_tokens=20, cache_read_tokens=300, cache_write_tokens=4000),
        pb.Usage(model="a", input_tokens=5, output_tokens=60, cache_read_tokens=700, cache_write_tokens=8000),
        pb.Usage(model="b", input_tokens=1, output_tokens=10, cache_read_tokens=100, cache_write_tokens=1000),
    )
    assert [each.model for each in found.models] == ["a", "b"]
    for sums, figures in (
        (found, (7, 90, 1100, 13_000)),
        (found.models[0].usage, (5, 60, 700, 8000)),
        (found.models[1].usage, (2, 30, 400, 5000)),
    ):
        assert (
            sums.input_tokens,
            sums.output_tokens,
            sums.cache_read_tokens,
            sums.cache_write_tokens,
        ) == figures


def test_an_unknown_price_makes_sums_incomplete() -> None:
    """A report without a cost marks its model and the whole, but not other models; a cost of 0 is known."""
    found = totals(pb.Usage(model="a", cost_usd_micros=0), pb.Usage(model="b", input_tokens=1))
    assert found.cost_incomplete
    assert [each.usage.cost_incomplete for each in found.models] == [False, True]
    assert not totals(pb.Usage(model="a", cost_usd_micros=0)).cost_incomplete


def test_a_known_cost_replaces_its_estimate() -> None:
    """The settled part is no longer an estimate, and a model whose cost is known then is complete again."""
    estimate = pb.Usage(model="a", cost_usd_micros=10, estimated=True)
    known = pb.Usage(model="a", cost_usd_micros=4, settled_usd_micros=10)
    found = totals(estimate, pb.Usage(model="b", cost_usd_micros=7))
    assert (found.estimated_usd_micros, found.models[0].usage.estimated_usd_micros) == (10, 10)
    assert found.models[1].usage.estimated_usd_micros == 0
    add_report(found, known)
    assert (found.cost_usd_micros, found.estimated_usd_micros) == (21, 0)
    assert found.models[0].usage.estimated_usd_micros == 0


def incomplete(*reports: pb.Usage) -> tuple[bool, list[bool]]:
    """Returns whether the cost of the whole and of each model is a lower bound."""
    found = totals(*reports)
    return found.cost_incomplete, [each.usage.cost_incomplete for each in found.models]


def test_a_settled_model_is_complete_again() -> None:
    """The whole is complete once the last of its models is; a settlement without a cost keeps a model open."""
    unpriced = [pb.Usage(model=name, input_tokens=1) for name in "ab"]
    of_a, of_b = (pb.Usage(model=name, cost_usd_micros=4, settled_usd_micros=0) for name in "ab")
    open_b = pb.Usage(model="b", settled_usd_micros=0)
    assert incomplete(*unpriced) == (True, [True, True])
    assert incomplete(*unpriced, of_a) == (True, [False, True])
    assert incomplete(*unpriced, of_a, of_b) == (False, [False, False])
    assert incomplete(*unpriced, of_a, of_b, open_b) == (True, [False, True])


def test_totals_of_several_attempts_are_added_up() -> None:
    """The sum has everything that its parts have, by model too; of nothing it is empty."""
    one = totals(
        pb.Usage(model="b", input_tokens=1, cost_usd_micros=10, estimated=True),
        pb.Usage(model="a", output_tokens=2, cost_usd_micros=3),
    )
    other = totals(pb.Usage(model="b", cache_read_tokens=4), pb.Usage(model="c", cache_write_tokens=5))
    found = total([one, other])
    assert [each.model for each in found.models] == ["a", "b", "c"]
    assert (found.input_tokens, found.output_tokens) == (1, 2)
    assert (found.cache_read_tokens, found.cache_write_tokens) == (4, 5)
    assert (found.cost_usd_micros, found.estimated_usd_micros, found.cost_incomplete) == (13, 10, True)
    assert [each.usage.cost_usd_micros for each in found.models] == [3, 10, 0]
    assert [each.usage.cost_incomplete for each in found.models] == [False, True, True]
    assert total([one]) == one
    assert total([]) == pb.UsageTotals()
