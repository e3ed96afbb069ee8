"""The log of a session as a download."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.events.kinds import OPTIONS
from ui_svc.views import transcript

LEVELS = {"info", "tool", "warning", "error", "system"}

TIME = Timestamp(seconds=1_700_000_000, nanos=120_000_000)


def test_each_line_has_its_time_and_speaker() -> None:
    """Each line of an event with several lines becomes a line of the log."""
    output = pb.Output(stream=pb.OUTPUT_STREAM_STDERR, text="one\ntwo\n")
    assert transcript.lines(pb.Event(time=TIME, output=output)) == (
        "2023-11-14T22:13:20.120Z err      one\n2023-11-14T22:13:20.120Z err      two\n"
    )


def test_only_newlines_end_a_line() -> None:
    """Other separators in an agent's output do not create lines."""
    text = "one\u2028two\x0bthree\rfour"
    assert transcript.lines(pb.Event(time=TIME, output=pb.Output(text=text))).count("\n") == 1


def test_a_failed_tool_call_stands_out() -> None:
    """Failed tool calls and checks are marked, and the session's outcome is shown."""
    failed = transcript.lines(pb.Event(time=TIME, tool_finished=pb.ToolFinished(result="no such file")))
    assert failed.endswith("tool     ✗ failed after 0.0s no such file\n")
    check = pb.CheckFinished(name="unit", command="pytest", output="1 failed\n")
    told = transcript.lines(pb.Event(time=TIME, check_finished=check))
    assert [line.split(" ", 1)[1] for line in told.splitlines()] == [
        "check    ✗ check unit (0.0s)",
        "check    $ pytest",
        "check    1 failed",
    ]
    end = pb.SessionFinished(outcome=pb.OUTCOME_TIMED_OUT, reason="over its limit")
    assert "session timed out: over its limit" in transcript.lines(pb.Event(time=TIME, session_finished=end))


def test_each_kind_has_a_level_that_the_page_filters_by() -> None:
    """Failures are errors, questions warnings; kinds without a level are Heddle's own lines."""
    assert transcript.entry(pb.Event(check_finished=pb.CheckFinished(name="a"))) == (
        "error",
        "check",
        "✗ check a (0.0s)",
    )
    for kind, options in OPTIONS.items():
        event = pb.Event(actor="user")
        getattr(event, kind).SetInParent()
        found = transcript.entry(event)
        assert (found is not None) == options.session
        assert found is None or found.level in LEVELS
    for outcome, level in ((pb.OUTCOME_PARKED, "system"), (pb.OUTCOME_FAILED, "error")):
        ended = transcript.entry(pb.Event(session_finished=pb.SessionFinished(outcome=outcome)))
        assert ended is not None
        assert ended.level == level
    asked = transcript.entry(pb.Event(approval_requested=pb.ApprovalRequested(question="May I?")))
    assert asked == ("warning", "agent", "asks: May I?")


@pytest.mark.parametrize(("actor", "who"), [("user:ada", "operator"), ("agent:claude", "heddle")])
def test_only_an_operator_answers_as_one(actor: str, who: str) -> None:
    """A question denied by a timeout is not shown as the operator's answer."""
    found = transcript.entry(pb.Event(actor=actor, approval_resolved=pb.ApprovalResolved()))
    assert found == ("system", who, "denied")


def test_what_has_nothing_to_read_leaves_no_line() -> None:
    """Events of the run's own log are not part of a session's text."""
    assert not transcript.lines(pb.Event(time=TIME, run_paused=pb.RunPaused()))
    assert not transcript.lines(pb.Event(time=TIME))


def test_an_event_is_one_line_of_json() -> None:
    """An event is exactly one line, whatever an agent wrote, with names in canonical form."""
    event = pb.Event(sequence=7, time=TIME, output=pb.Output(text="a\nb\u2028c", tool_call_id="x"))
    line = transcript.json_line(event)
    assert line.count("\n") == 1
    assert json.loads(line)["output"] == {"text": "a\nb\u2028c", "toolCallId": "x"}
