"""Totals that agents report become the usage since their last report."""

from typing import Any

import pytest
from acp.schema import Cost, Usage

from agent_svc.agents.acp import usage as acp_usage
from agent_svc.agents.claude.messages import usage as claude_usage
from agent_svc.agents.claude.model_calls import OpenCall, tokens_of, used
from agent_svc.agents.codex import usage as codex_usage
from heddle import pb

Figures = tuple[int, int, int, int]


def figures(usage: pb.Usage) -> Figures:
    """Returns input, output, cache reads and cache writes."""
    return (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)


def only(events: list[pb.Event]) -> pb.Usage:
    [event] = events
    return event.usage


class TestAcp:
    """Tokens of a turn, and the cost of a session."""

    @staticmethod
    def cost(amount: float, currency: str = "USD") -> Cost:
        return Cost(amount=amount, currency=currency)

    def test_a_cost_is_what_was_added(self) -> None:
        """Each report has the whole cost; one that adds nothing is left out."""
        spending = acp_usage.Spending()
        spending.model = "m"
        first = only(spending.cost(self.cost(0.25)))
        assert (first.model, first.cost_usd_micros) == ("m", 250_000)
        assert spending.cost(self.cost(0.25, "usd")) == []
        assert only(spending.cost(self.cost(0.3000004))).cost_usd_micros == 50_000
        assert spending.total == 300_000

    def test_a_new_session_begins_at_zero(self) -> None:
        """A total that went down counts as a whole."""
        spending = acp_usage.Spending()
        spending.cost(self.cost(0.5))
        assert only(spending.cost(self.cost(0.2))).cost_usd_micros == 200_000
        assert only(spending.cost(self.cost(0.3))).cost_usd_micros == 100_000

    @pytest.mark.parametrize("cost", [None, Cost(amount=0, currency="USD"), Cost(amount=1, currency="EUR")])
    def test_an_unknown_cost_is_none(self, cost: Cost | None) -> None:
        """The tokens of the turn then have no cost, not a cost of 0."""
        spending = acp_usage.Spending()
        assert spending.cost(cost) == []
        told = only(spending.tokens(Usage(input_tokens=1, output_tokens=2, total_tokens=3)))
        assert not told.HasField("cost_usd_micros")
        spending.cost(self.cost(0.5))
        told = only(spending.tokens(Usage(input_tokens=1, output_tokens=2, total_tokens=3)))
        assert told.HasField("cost_usd_micros")
        assert told.cost_usd_micros == 0

    @pytest.mark.parametrize(
        ("usage", "told"),
        [
            (Usage(input_tokens=1, output_tokens=2, total_tokens=3), (1, 2, 0, 0)),
            # Thoughts that are counted separately are output.
            (Usage(input_tokens=1, output_tokens=2, total_tokens=10), (1, 9, 0, 0)),
            (
                Usage(
                    input_tokens=1,
                    output_tokens=2,
                    cached_read_tokens=30,
                    cached_write_tokens=400,
                    total_tokens=433,
                ),
                (1, 2, 30, 400),
            ),
            (
                Usage(
                    input_tokens=1,
                    output_tokens=2,
                    cached_read_tokens=30,
                    cached_write_tokens=400,
                    total_tokens=440,
                ),
                (1, 9, 30, 400),
            ),
        ],
    )
    def test_tokens_of_a_turn(self, usage: Usage, told: Figures) -> None:
        """The output is what the total has in addition to the input and the cache."""
        spending = acp_usage.Spending()
        spending.model = "m"
        found = only(spending.tokens(usage))
        assert (found.model, figures(found)) == ("m", told)
        assert spending.tokens(None) == []


class TestCodex:
    """Totals of a session; the input includes what was cached."""

    @staticmethod
    def counts(fresh: int, output: int, read: int, written: int) -> dict[str, int]:
        return {
            "input_tokens": fresh + read + written,
            "output_tokens": output,
            "cached_input_tokens": read,
            "cache_write_input_tokens": written,
        }

    def test_only_what_was_added_is_reported(self) -> None:
        """Each kind has its own difference; a report that adds nothing is left out."""
        spending = codex_usage.Spending("m")
        first = only(spending.report(self.counts(1, 20, 300, 4000)))
        assert (first.model, figures(first)) == ("m", (1, 20, 300, 4000))
        assert spending.report(self.counts(1, 20, 300, 4000)) == []
        assert figures(only(spending.report(self.counts(6, 21, 302, 4003)))) == (5, 1, 2, 3)
        for place in range(4):
            more = [6, 21, 302, 4003]
            more[place] += 1
            again = codex_usage.Spending("m")
            again.report(self.counts(6, 21, 302, 4003))
            assert sum(figures(only(again.report(self.counts(*more))))) == 1
        assert codex_usage.Spending("m").report({}) == []

    def test_a_resumed_session_has_used_something_before(self) -> None:
        """What it used then is not reported again."""
        spending = codex_usage.Spending("m")
        spending.begin(self.counts(10, 10, 10, 10))
        assert figures(only(spending.report(self.counts(11, 12, 13, 14)))) == (1, 2, 3, 4)

    def test_a_new_session_begins_at_zero(self) -> None:
        """Output that went down means that all counts begin again; other counts that go down are not negative."""
        spending = codex_usage.Spending("m")
        spending.report(self.counts(10, 10, 10, 10))
        assert figures(only(spending.report(self.counts(5, 9, 20, 20)))) == (5, 9, 20, 20)
        assert figures(only(spending.report(self.counts(1, 10, 2, 3)))) == (0, 1, 0, 0)
        assert figures(only(spending.report(self.counts(1, 11, 2, 3)))) == (0, 1, 0, 0)

    def test_more_cached_than_counted_is_not_negative(self) -> None:
        """Counts of another version may exclude cached tokens."""
        counts = {"input_tokens": 5, "output_tokens": 1, "cached_input_tokens": 9}
        assert figures(only(codex_usage.Spending("m").report(counts))) == (0, 1, 9, 0)


class TestClaude:
    """Totals of a session by model, with their cost."""

    @staticmethod
    def total(*tokens: int, cost: float | None = None) -> dict[str, Any]:
        names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
        return dict(zip(names, tokens, strict=True)) | ({} if cost is None else {"costUSD": cost})

    def test_each_model_has_its_own_total(self) -> None:
        """Only models that used something since the last report are reported."""
        spending = claude_usage.Spending()
        used = {"a": self.total(1, 20, 300, 4000, cost=0.5), "b": self.total(0, 0, 0, 0, cost=0)}
        first = only(spending.report(used))
        assert (first.model, figures(first), first.cost_usd_micros) == ("a", (1, 20, 300, 4000), 500_000)
        used = {"a": self.total(1, 20, 300, 4000, cost=0.5), "b": self.total(2, 0, 0, 0)}
        second = only(spending.report(used))
        assert (second.model, figures(second)) == ("b", (2, 0, 0, 0))
        assert not second.HasField("cost_usd_micros")
        third = only(spending.report({"a": self.total(1, 20, 300, 4000, cost=0.75)}))
        assert (figures(third), third.cost_usd_micros) == ((0, 0, 0, 0), 250_000)

    def test_a_resumed_session_has_used_something_before(self) -> None:
        """What it used then is not reported again; a total that went down counts as nothing new."""
        spending = claude_usage.Spending()
        spending.begin({"a": self.total(10, 10, 10, 10, cost=1)})
        found = only(spending.report({"a": self.total(11, 12, 13, 14, cost=1.5)}))
        assert (figures(found), found.cost_usd_micros) == ((1, 2, 3, 4), 500_000)
        assert spending.report({"a": self.total(1, 1, 1, 1, cost=0.1)}) == []
        assert figures(only(spending.report({"a": self.total(2, 1, 1, 1, cost=0.1)}))) == (1, 0, 0, 0)

    def test_missing_counts_are_zero(self) -> None:
        """A count that is absent or null is 0."""
        spending = claude_usage.Spending()
        found = only(spending.report({"a": {"inputTokens": None, "outputTokens": 3}}))
        assert figures(found) == (0, 3, 0, 0)


def start(model: object = "m", **usage: object) -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": model, "usage": usage}}


def delta(**usage: object) -> dict[str, Any]:
    return {"type": "message_delta", "usage": usage}


class TestModelCalls:
    """The usage of the call that a model of Claude is answering."""

    def test_counts_of_an_answer_replace_earlier_ones(self) -> None:
        """A count that is left out or 0 has not changed; the call is reported once, when it ends."""
        call = OpenCall()
        assert call.take(start(input_tokens=5, output_tokens=1, cache_read_input_tokens=7)) is None
        assert call.take(delta(output_tokens=9, input_tokens=0, cache_creation_input_tokens=2)) is None
        assert call.take({"type": "content_block_stop"}) is None
        told = call.take({"type": "message_stop"})
        assert told is not None
        assert (told.model, figures(told)) == ("m", (5, 9, 7, 2))
        assert tokens_of(told) == 5 + 9 + 7 + 2
        assert call.take({"type": "message_stop"}) is None
        assert call.take(delta(output_tokens=9)) is None
        assert call.rest() is None

    def test_a_call_that_a_total_includes_is_dropped(self) -> None:
        """The total includes it if it has at least as much input, cached input too."""
        open_call = start(input_tokens=5, cache_read_input_tokens=20, cache_creation_input_tokens=100)
        for told, stays in (
            ([pb.Usage(input_tokens=125)], False),
            ([pb.Usage(input_tokens=5, cache_read_tokens=20), pb.Usage(cache_write_tokens=100)], False),
            ([pb.Usage(input_tokens=124, output_tokens=99)], True),
            ([], True),
        ):
            call = OpenCall()
            call.take(open_call)
            call.settle(told)
            assert (call.rest() is not None) is stays
        OpenCall().settle([])

    @pytest.mark.parametrize(
        ("count", "told"),
        [(3, 3), (0, 0), (-1, 0), ("3", 0), (None, 0), ((1 << 50) - 1, (1 << 50) - 1), (1 << 50, 0)],
    )
    def test_an_invalid_count_is_zero(self, count: object, told: int) -> None:
        """Whatever an agent sends, the usage is valid."""
        assert figures(used("m", {"output_tokens": count})) == (0, told, 0, 0)
        assert used(7, None) == pb.Usage()
        assert used("m\ud800", []).model == "m?"


def test_usage_of_sub_agents_is_told_apart() -> None:
    """A report with the tokens of one sub-agent's calls names it; one with those of several names none."""
    calls = claude_usage.SubAgentCalls()

    def named(*tokens: int) -> list[str]:
        reports = [pb.Event(usage=pb.Usage(input_tokens=1, cache_read_tokens=each - 1)) for each in tokens]
        calls.name(reports)
        return [each.usage.parent_tool_call_id for each in reports]

    calls.take("a", "m1", pb.Usage(input_tokens=20))
    # The same message comes with each of its blocks.
    calls.take("a", "m1", pb.Usage(input_tokens=20))
    calls.take("b", "m2", pb.Usage(input_tokens=30))
    assert named(7, 30, 20) == ["", "b", "a"]
    calls.take("a", "m3", pb.Usage(input_tokens=40))
    calls.take("a", "m4", pb.Usage(input_tokens=50))
    assert named(90) == ["a"]
    calls.take("a", "m5", pb.Usage(input_tokens=60))
    calls.take("b", "m6", pb.Usage(input_tokens=70))
    assert named(130, 60) == ["", ""]
