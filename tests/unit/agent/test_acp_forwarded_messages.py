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
