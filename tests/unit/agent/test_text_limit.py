"""How much a session stores of an agent that writes without end."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from agent_svc.log.text_limit import TextLimit
from heddle import pb

LIMIT = 512 << 10
AGENT = "agent:command"


def output(text: str, stream: "pb.OutputStream.ValueType" = pb.OUTPUT_STREAM_STDOUT) -> pb.Event:
    return pb.Event(actor=AGENT, output=pb.Output(stream=stream, text=text))


def admitted(limit: TextLimit, events: Iterable[pb.Event]) -> list[pb.Event]:
    stored = [each for event in events for each in limit.admit([event])]
    return [*stored, *limit.end()]


def text(events: Iterable[pb.Event]) -> str:
    return "".join(event.output.text for event in events)


def reports(events: Iterable[pb.Event]) -> list[pb.OutputLeftOut]:
    return [event.output_left_out for event in events if event.HasField("output_left_out")]


def test_what_fits_is_stored_whole_and_in_order() -> None:
    """Text up to the limit is stored completely and without a marker, even if its last part comes late."""
    lines = [f"{number}\n" * 100 for number in range(100)]
    events = admitted(TextLimit(LIMIT), map(output, lines))
    assert text(events) == "".join(lines)
    assert not reports(events)


def test_the_middle_is_left_out_and_said_so() -> None:
    """The beginning and the end of endless text are stored within the limit; the marker counts the rest."""
    lines = [f"line {number}\n" * 50 for number in range(8000)]
    events = admitted(TextLimit(LIMIT), map(output, lines))

    stored = text(events)
    assert stored.startswith(lines[0])
    assert stored.endswith(lines[-1])
    assert sum(event.ByteSize() for event in events) <= LIMIT
    told = reports(events)
    assert [each.final for each in told] == [False] * (len(told) - 1) + [True]
    assert all(each.limit_bytes == LIMIT for each in told)
    # The omitted amount is reported each time it doubles, not for each line.
    assert len(told) < 10
    assert told[-1].left_out_bytes >= sum(map(len, lines)) - len(stored)
    # The last report comes before the end of the text.
    place = next(place for place, event in enumerate(events) if event.output_left_out.final)
    assert text(events[place:]).endswith(lines[-1])
    assert events[place].actor == AGENT


def test_what_is_not_text_stays() -> None:
    """Usage, questions, the operator's messages and Heddle's own lines are stored whatever an agent writes."""
    limit = TextLimit(LIMIT)
    limit.admit([output("x" * 1000)] * 1000)
    others = [
        pb.Event(actor=AGENT, usage=pb.Usage(input_tokens=1)),
        pb.Event(actor=AGENT, approval_requested=pb.ApprovalRequested(question="May I?")),
        pb.Event(actor="user:ada", message=pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text="Stop that")),
        pb.Event(actor="worker:w", output=pb.Output(stream=pb.OUTPUT_STREAM_SYSTEM, text="Stopping")),
    ]
    assert [event for event in limit.admit(others) if not event.HasField("output_left_out")] == others


def test_details_of_tool_calls_are_cut() -> None:
    """Beyond the limit, the start and end of a call are stored, but its input and result are truncated."""
    limit = TextLimit(LIMIT)
    limit.admit([output("x" * 1000)] * 1000)
    started = pb.ToolStarted(tool_call_id="1", name="Bash", input="y" * 5000)
    finished = pb.ToolFinished(tool_call_id="1", ok=True, result="z" * 5000)
    calls = [pb.Event(actor=AGENT, tool_started=started), pb.Event(actor=AGENT, tool_finished=finished)]
    told = [event for event in limit.admit(calls) if not event.HasField("output_left_out")]
    assert [event.WhichOneof("payload") for event in told] == ["tool_started", "tool_finished"]
    assert told[0].tool_started.input.startswith("yyy")
    assert told[1].tool_finished.ok
    assert all(event.ByteSize() < 2000 for event in told)


def test_without_a_limit_all_is_stored() -> None:
    """A limit of 0 means no limit."""
    events = admitted(TextLimit(0), [output("x" * 1000)] * 1000)
    assert len(text(events)) == 1_000_000


@given(
    st.lists(
        st.tuples(st.sampled_from(["out", "err", "words", "call"]), st.integers(1, 3000)),
        min_size=1,
        max_size=80,
    )
)
def test_no_mixture_is_stored_beyond_the_limit(written: list[tuple[str, int]]) -> None:
    """Whatever an agent writes, the stored text without the markers stays within the limit."""
    small = 32 << 10
    events = []
    for kind, size in written:
        match kind:
            case "out":
                events.append(output("o" * size))
            case "err":
                events.append(output("e" * size, pb.OUTPUT_STREAM_SYSTEM))
            case "words":
                message = pb.Message(kind=pb.MESSAGE_KIND_TEXT, text="w" * size, last=size % 2 == 0)
                events.append(pb.Event(actor=AGENT, message=message))
            case _:
                events.append(pb.Event(actor=AGENT, tool_started=pb.ToolStarted(input="i" * size)))
    stored = admitted(TextLimit(small), events)
    # An event may begin within its part and end after it; the last piece, of up to 32 KiB, is always stored.
    beyond = 2 * 3100 + (32 << 10)
    assert (
        sum(event.ByteSize() for event in stored if not event.HasField("output_left_out")) <= small + beyond
    )
