"""Claude's messages that the adapter forwards become usage that is counted once."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_svc.agents.acp.forwarded_messages import ForwardedMessages
from agent_svc.agents.acp.memory import Memory
from agent_svc.agents.claude.model_calls import OpenCall
from heddle import pb

MODEL = "claude-haiku-4-5-20251001"


def stream(event: str, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "stream_event", "parent_tool_use_id": parent, "event": {"type": event, **fields}}


def opened(tokens: int, model: str = MODEL) -> dict[str, Any]:
    usage = {"input_tokens": tokens, "output_tokens": 1, "cache_read_input_tokens": 3}
    return stream("message_start", message={"id": "m", "model": model, "usage": usage})


def call(tokens: int, output: int) -> list[dict[str, Any]]:
    return [
        opened(tokens),
        stream("message_delta", usage={"output_tokens": output, "input_tokens": None}),
        stream("message_stop"),
    ]


def of_sub_agent(number: str, tokens: int) -> dict[str, Any]:
    usage = {"input_tokens": tokens, "output_tokens": 1}
    message = {"id": number, "model": MODEL, "usage": usage}
    return {"type": "assistant", "parent_tool_use_id": "toolu_1", "message": message}


def result(dollars: float, tokens: int, output: int, read: int = 0, model: str = MODEL) -> dict[str, Any]:
    total = {"inputTokens": tokens, "outputTokens": output, "cacheReadInputTokens": read, "costUSD": dollars}
    return {"type": "result", "modelUsage": {model: total}}


def heard(forwarded: ForwardedMessages, messages: Iterable[dict[str, Any]]) -> list[pb.Usage]:
    return [event.usage for message in messages for event in forwarded.take(message)]


def test_a_call_is_told_once_it_is_answered() -> None:
    """A call's last token counts are reported without a cost; an interrupted call is reported at the end."""
    forwarded = ForwardedMessages()
    assert heard(forwarded, call(1000, 50)) == [
        pb.Usage(model=MODEL, input_tokens=1000, output_tokens=50, cache_read_tokens=3)
    ]
    assert forwarded.rest() == []
    assert heard(forwarded, [opened(7)]) == []
    [cut_off] = forwarded.rest()
    assert (cut_off.usage.input_tokens, cut_off.usage.output_tokens) == (7, 1)
    assert forwarded.rest() == []


def test_the_end_of_a_turn_settles_it() -> None:
    """The totals add the cost and what no call reported; a second turn adds only its own usage."""
    forwarded = ForwardedMessages()
    told = heard(forwarded, [*call(1000, 50), of_sub_agent("a", 200), of_sub_agent("a", 200)])
    assert [usage.input_tokens for usage in told] == [1000, 200]
    was_unsettled = forwarded.unsettled

    [rest] = heard(forwarded, [result(0.25, 1200, 90, read=3, model="claude-haiku-4-5[1m]")])
    # The name is the same as in the reports of the calls.
    assert rest == pb.Usage(model=MODEL, output_tokens=39, cost_usd_micros=250_000, settled_usd_micros=0)
    assert (was_unsettled, forwarded.unsettled) == (True, False)

    heard(forwarded, call(500, 5))
    [rest] = heard(forwarded, [result(0.30, 1700, 95, read=6, model="claude-haiku-4-5[1m]")])
    assert rest == pb.Usage(model=MODEL, cost_usd_micros=50_000, settled_usd_micros=0)


def test_a_resumed_session_pays_for_nothing_twice() -> None:
    """An earlier attempt's share is subtracted; if it is unknown, only the estimates are kept."""
    known = ForwardedMessages()
    known.resume(100_000)
    heard(known, call(500, 5))
    [rest] = heard(known, [result(0.15, 5000, 50)])
    assert rest == pb.Usage(model=MODEL, cost_usd_micros=50_000, settled_usd_micros=0)

    cut_off = ForwardedMessages()
    cut_off.resume(None)
    heard(cut_off, call(500, 5))
    [rest] = heard(cut_off, [result(0.15, 5000, 50)])
    # Without a cost, the reports of the calls stay valid.
    assert rest == pb.Usage(model=MODEL, settled_usd_micros=0)
    heard(cut_off, call(500, 5))
    [rest] = heard(cut_off, [result(0.20, 5500, 55, read=3)])
    assert rest == pb.Usage(model=MODEL, cost_usd_micros=50_000, settled_usd_micros=0)


def test_what_is_unsettled_is_remembered() -> None:
    """The session id records whether usage lacks its cost, even if an older version wrote the id."""
    assert Memory.parse(str(Memory("a:b", 5, unsettled=True))) == Memory("a:b", 5, unsettled=True)
    assert Memory.parse("5:a:b") == Memory("a:b", 5, unsettled=False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "event", "message", "usage", "model", "id", "modelUsage", "costUSD", "inputTokens"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    st.sampled_from(["stream_event", "assistant", "result", "other"]),
    st.dictionaries(st.text(max_size=3), _JSON),
    _JSON,
)
def test_a_message_of_another_form_tells_nothing(kind: str, more: dict[str, Any], event: Any) -> None:
    """A message with an unknown form is ignored, and the session continues."""
    forwarded = ForwardedMessages()
    for message in (
        {"type": kind, **more},
        {"type": "stream_event", "event": event},
        {"type": "assistant", "parent_tool_use_id": "1", "message": event},
        {"type": "result", "modelUsage": event},
        {"type": "stream_event", "event": {"type": "message_start", "message": event}},
        {"type": "result", "modelUsage": {"m": event}},
    ):
        reported = forwarded.take(message)
        # Half-valid usage may be reported, but as nothing else and in a form that can be sent.
        assert all(event.WhichOneof("payload") == "usage" for event in reported)
        assert all(pb.Event.FromString(event.SerializeToString()) == event for event in reported)
    assert [event for event in forwarded.rest() if not event.HasField("usage")] == []


def test_counts_of_another_form_are_none() -> None:
    """Invalid counts and names from a model's endpoint are ignored and do not end the session."""
    call = OpenCall()
    forms: tuple[object, ...] = (
        None,
        [],
        {"input_tokens": -1, "output_tokens": "7"},
        {"input_tokens": 1 << 70},
    )
    for usage in forms:
        call.take({"type": "message_start", "message": {"model": None, "usage": usage}})
        call.take({"type": "message_delta"})
        assert call.take({"type": "message_stop"}) == pb.Usage()
    call.take({"type": "message_start", "message": {"model": "a\ud800", "usage": {"input_tokens": 4}}})
    assert call.rest() == pb.Usage(model="a?", input_tokens=4)


def test_an_interrupted_call_counts_once() -> None:
    """Totals that include the open call close it; totals of another call leave it to be reported."""
    call = OpenCall()
    call.take({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 40}}})
    call.settle([pb.Usage(model="other", input_tokens=5)])
    assert call.rest() == pb.Usage(model="m", input_tokens=40)
    call.take({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 40}}})
    call.settle([pb.Usage(model="m", input_tokens=40, output_tokens=2)])
    assert call.rest() is None


def test_a_turn_without_a_call_of_the_model_says_so() -> None:
    """A turn without usage is reported, so that a hook's text does not count as an answer of the model."""
    [event] = ForwardedMessages().take({"type": "result", "modelUsage": {}})
    assert event.usage == pb.Usage(cost_usd_micros=0)


def totals(**models: dict[str, Any]) -> dict[str, Any]:
    return {"type": "result", "modelUsage": {name.replace("_", "-"): told for name, told in models.items()}}


def test_every_kind_of_token_is_settled() -> None:
    """Totals report per model and kind what no call has reported, and never less than nothing."""
    forwarded = ForwardedMessages()
    heard(forwarded, call(1000, 50))
    rest = heard(
        forwarded,
        [
            {
                "type": "result",
                "modelUsage": {
                    MODEL: {
                        "inputTokens": 1001,
                        "outputTokens": 52,
                        "cacheReadInputTokens": 6,
                        "cacheCreationInputTokens": 4,
                        "costUSD": 0.5,
                    },
                    "other": {"inputTokens": 5, "outputTokens": None},
                    "idle": {},
                },
            }
        ],
    )
    assert rest == [
        pb.Usage(
            model=MODEL,
            input_tokens=1,
            output_tokens=2,
            cache_read_tokens=3,
            cache_write_tokens=4,
            cost_usd_micros=500_000,
            settled_usd_micros=0,
        ),
        pb.Usage(model="other", input_tokens=5, cost_usd_micros=0, settled_usd_micros=0),
    ]
    [again] = heard(forwarded, [totals(other={"inputTokens": 7, "costUSD": 0.1})])
    assert (again.model, again.input_tokens, again.cost_usd_micros) == ("other", 2, 100_000)
    assert heard(forwarded, [totals(other={"inputTokens": 3, "costUSD": 0.05})]) == []


def test_an_earlier_cost_is_subtracted_from_all_models() -> None:
    """How it was split is unknown, so the first models of the totals bear it."""
    forwarded = ForwardedMessages()
    forwarded.resume(300_000)
    told = totals(a={"costUSD": 0.1}, b={"costUSD": 0.3}, c={"costUSD": 0.2})
    assert [(usage.model, usage.cost_usd_micros) for usage in heard(forwarded, [told])] == [
        ("b", 100_000),
        ("c", 200_000),
    ]


def test_only_messages_of_the_agent_itself_are_calls() -> None:
    """Streams of sub-agents and whole messages of the agent are not counted, because others count them."""
    forwarded = ForwardedMessages()
    was_heard = forwarded.heard
    usage = {"input_tokens": 5}
    own = {
        "type": "assistant",
        "parent_tool_use_id": None,
        "message": {"id": "x", "model": MODEL, "usage": usage},
    }
    of_sub = stream("message_start", "toolu_1", message={"id": "m", "model": MODEL, "usage": usage})
    assert heard(forwarded, [own, of_sub, stream("message_stop", "toolu_1"), {"type": "system"}]) == []
    assert forwarded.rest() == []
    assert (was_heard, forwarded.heard) == (False, True)
    assert not forwarded.unsettled
    assert [each.input_tokens for each in heard(forwarded, [of_sub_agent("a", 1), of_sub_agent("b", 2)])] == [
        1,
        2,
    ]


def test_a_turn_without_new_totals_leaves_nothing_unsettled() -> None:
    """A call that the totals do not know is settled without a cost of its own."""
    forwarded = ForwardedMessages()
    heard(forwarded, call(10, 1))
    assert heard(forwarded, [{"type": "result", "modelUsage": {}}]) == []
    assert not forwarded.unsettled
