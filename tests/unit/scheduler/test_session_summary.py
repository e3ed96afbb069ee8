"""The content of a card, computed from the events of a session."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from heddle import pb
from scheduler_svc.model.sessions.session_summary import closed_lines, fold, is_overdue


def events(*payloads: dict[str, Any]) -> list[pb.Event]:
    """Returns events numbered from 1, one second apart."""
    return [
        pb.Event(sequence=number, time=Timestamp(seconds=number), **payload)
        for number, payload in enumerate(payloads, 1)
    ]


def out(text: str) -> dict[str, Any]:
    return {"output": pb.Output(text=text)}


def say(text: str, last: bool = False) -> dict[str, Any]:
    return {"message": pb.Message(kind=pb.MESSAGE_KIND_TEXT, text=text, last=last)}


def told(text: str) -> dict[str, Any]:
    return {"message": pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text=text, last=True)}


def lines(*payloads: dict[str, Any]) -> list[str]:
    summary = fold(pb.Attempt(), events(*payloads)).summary
    closed_lines(summary)
    return list(summary.last_lines)


def test_nothing_is_changed_in_place() -> None:
    """Folding returns a new attempt and does not change its argument."""
    before = pb.Attempt(state=pb.ATTEMPT_STATE_STARTING)
    after = fold(before, events({"session_started": pb.SessionStarted()}))
    assert before == pb.Attempt(state=pb.ATTEMPT_STATE_STARTING)
    assert after.state == pb.ATTEMPT_STATE_RUNNING
    assert after.session_sequence == 1
    assert after.summary.last_activity_time.seconds == 1


@pytest.mark.parametrize(
    ("payloads", "expected"),
    [
        ([out("a\nb\n")], ["a", "b"]),
        ([out("a"), out("b\nc")], ["ab", "c"]),
        ([out("a\n"), out("b")], ["a", "b"]),
        ([out("a\r\nb\r\n")], ["a", "b"]),
        ([out("\n\n\na\n\n")], ["a"]),
        ([say("Hel"), say("lo", last=True), out("x\n")], ["Hello", "x"]),
        ([say("Hel"), told("Stop"), say("lo")], ["Hel", "Operator: Stop", "lo"]),
        ([out("1\n2\n3\n4\n5\n6\n7\n")], ["3", "4", "5", "6", "7"]),
        ([out("1\n2\n3\n4\n5\n6\n7")], ["3", "4", "5", "6", "7"]),
        ([out("")], []),
        ([out("x" * 300)], ["x" * 200]),
    ],
)
def test_last_lines(payloads: list[dict[str, Any]], expected: list[str]) -> None:
    """At most five of the newest lines are kept, of 200 characters each, with pieces of a line joined."""
    assert lines(*payloads) == expected


@given(st.lists(st.text(alphabet="ab\n", max_size=12), max_size=12))
def test_lines_do_not_depend_on_how_text_is_cut(pieces: list[str]) -> None:
    """Text in pieces gives the same lines as the whole text."""
    joined = [line for line in "".join(pieces).split("\n") if line][-5:]
    assert lines(*map(out, pieces)) == joined


@given(st.integers(0, 8))
def test_lines_do_not_depend_on_batches(cut: int) -> None:
    """Folding in two batches gives the same result as in one."""
    whole = events(
        {"session_started": pb.SessionStarted()},
        out("a\nb"),
        out("c\n"),
        {"tool_started": pb.ToolStarted(tool_call_id="1", name="Bash")},
        {"tool_finished": pb.ToolFinished(tool_call_id="1", ok=False)},
        {"usage": pb.Usage(model="m", input_tokens=1)},
        {"check_finished": pb.CheckFinished(name="tests", ok=True)},
        {"session_finished": pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)},
    )
    assert fold(fold(pb.Attempt(), whole[:cut]), whole[cut:]) == fold(pb.Attempt(), whole)


def test_open_tool_call_is_shown_until_it_is_finished() -> None:
    """The current tool is the newest unfinished one; calls and errors are counted."""
    started: list[dict[str, Any]] = [
        {"tool_started": pb.ToolStarted(tool_call_id="1", name="Edit", target="api.py", input="x" * 999)},
        {"tool_finished": pb.ToolFinished(tool_call_id="1", ok=False)},
        {"tool_started": pb.ToolStarted(tool_call_id="2", name="Bash")},
        {"tool_finished": pb.ToolFinished(tool_call_id="1", ok=True)},
    ]
    first = fold(pb.Attempt(), events(*started[:1])).summary
    assert first.current_tool.target == "api.py"
    assert len(first.current_tool.input) == 200
    assert not fold(pb.Attempt(), events(*started[:2])).summary.HasField("current_tool")
    last = fold(pb.Attempt(), events(*started)).summary
    assert last.current_tool.name == "Bash"
    assert (last.tool_calls, last.tool_errors) == (2, 1)


def test_usage_is_added_up_by_model() -> None:
    """Tokens and cost add up, also by model; an unknown price makes the cost a lower bound."""
    folded = fold(
        pb.Attempt(),
        events(
            {"usage": pb.Usage(model="b", input_tokens=5, cost_usd_micros=10)},
            {"usage": pb.Usage(model="a", output_tokens=3, cache_read_tokens=2)},
            {"usage": pb.Usage(model="b", input_tokens=1, cost_usd_micros=2, estimated=True)},
        ),
    )
    usage = folded.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cost_usd_micros) == (6, 3, 12)
    assert usage.cost_incomplete
    assert usage.estimated_usd_micros == usage.models[1].usage.estimated_usd_micros == 2
    assert [each.model for each in usage.models] == ["a", "b"]
    assert usage.models[0].usage.cost_incomplete
    assert not usage.models[1].usage.cost_incomplete
    assert usage.models[1].usage.input_tokens == 6
    assert folded.summary.usage == usage


def test_question_makes_it_wait_until_it_is_answered() -> None:
    """A session waits from the question until the answer with its id or the session's end."""
    asked = {"approval_requested": pb.ApprovalRequested(approval_id="1", question="May I?")}
    other = {"approval_resolved": pb.ApprovalResolved(approval_id="2")}
    answered = {"approval_resolved": pb.ApprovalResolved(approval_id="1")}
    waiting = fold(pb.Attempt(), events(asked, other))
    assert waiting.state == waiting.summary.state == pb.ATTEMPT_STATE_WAITING
    assert waiting.summary.waiting_for.question == "May I?"
    for end in (answered, {"session_finished": pb.SessionFinished()}):
        done = fold(pb.Attempt(), events(asked, end))
        assert done.state != pb.ATTEMPT_STATE_WAITING
        assert not done.summary.HasField("waiting_for")


def test_open_questions_are_kept_until_each_is_answered() -> None:
    """The oldest open question is shown first, and the session waits until none is open."""
    first = {
        "approval_requested": pb.ApprovalRequested(
            approval_id="1", question="One?", tool="Bash", target="make", wait=Duration(seconds=60)
        )
    }
    second = {"approval_requested": pb.ApprovalRequested(approval_id="2", question="Two?")}
    answers = [{"approval_resolved": pb.ApprovalResolved(approval_id=each)} for each in ("1", "2")]
    both = fold(pb.Attempt(), events(first, second, second))
    assert [each.approval_id for each in both.approvals] == ["1", "2"]
    assert both.summary.waiting_for.question == "One?"
    oldest, newest = both.approvals
    assert (oldest.tool, oldest.target, oldest.request_time.seconds) == ("Bash", "make", 1)
    assert oldest.deny_time.seconds == 61
    assert not newest.HasField("deny_time")
    one = fold(both, events(answers[0]))
    assert (one.state, one.summary.waiting_for.question) == (pb.ATTEMPT_STATE_WAITING, "Two?")
    assert fold(one, events(answers[1])).state == pb.ATTEMPT_STATE_RUNNING


def test_checks_are_kept_in_order() -> None:
    """The results of checks are kept in order of arrival."""
    folded = fold(
        pb.Attempt(),
        events(*({"check_finished": pb.CheckFinished(name=name, ok=True)} for name in "ab")),
    )
    assert [check.name for check in folded.checks] == ["a", "b"]
    assert folded.state == pb.ATTEMPT_STATE_CHECKING


def test_shows_what_a_session_waits_for_until_it_ends() -> None:
    """The card names background tasks; stopped tasks and the agent's session stay with the attempt."""
    running = {"background_work": pb.BackgroundWork(running=["make all"], count=1)}
    session = {"agent_session": pb.AgentSession(id="abc", command="claude --resume abc")}
    waiting = fold(pb.Attempt(), events(session, running))
    assert list(waiting.summary.background) == ["make all"]
    over = fold(waiting, events({"background_work": pb.BackgroundWork()}))
    assert not over.summary.background
    stopped = fold(waiting, events({"background_work": pb.BackgroundWork(stopped=["make all"], count=1)}))
    assert not stopped.summary.background
    assert list(stopped.background_stopped) == ["make all"]
    assert stopped.agent_session == session["agent_session"]
    ended = fold(waiting, events({"session_finished": pb.SessionFinished(outcome=pb.OUTCOME_STOPPED)}))
    assert not ended.summary.background


def test_errors_screenshots_and_activity_are_counted() -> None:
    """Only failed tool calls are errors; each event counts in the span of its time."""
    payloads: list[dict[str, Any]] = [
        {"tool_finished": pb.ToolFinished(tool_call_id=number, ok=number != "3")} for number in "1234"
    ]
    shots: list[dict[str, Any]] = [{"screenshot": pb.Screenshot()}, {"screenshot": pb.Screenshot()}]
    summary = fold(pb.Attempt(), events(*payloads, *shots)).summary
    assert (summary.tool_errors, summary.screenshots) == (1, 2)
    assert list(summary.activity) == [4, 2]


@pytest.mark.parametrize("outcome", [pb.OUTCOME_FAILED, pb.OUTCOME_PARKED])
def test_an_ended_session_runs_no_tool(outcome: "pb.Outcome.ValueType") -> None:
    """Its open questions end with it, unless it was parked."""
    folded = fold(
        pb.Attempt(),
        events(
            {"tool_started": pb.ToolStarted(tool_call_id="1", name="Bash")},
            {"approval_requested": pb.ApprovalRequested(approval_id="1", question="May I?", parkable=True)},
            {"session_finished": pb.SessionFinished(outcome=outcome)},
        ),
    )
    parked = outcome == pb.OUTCOME_PARKED
    assert not folded.summary.HasField("current_tool")
    assert [each.parkable for each in folded.approvals] == ([True] if parked else [])
    assert folded.summary.HasField("waiting_for") == parked
    assert folded.state == (pb.ATTEMPT_STATE_WAITING if parked else pb.ATTEMPT_STATE_CHECKING)


def test_rules_of_answers_are_kept() -> None:
    """Only an answer that holds for later calls has a rule; what it allows in the whole run can be revoked, so it is not the session's."""
    in_session = pb.ApprovalResolved(approval_id="2", scope=pb.APPROVAL_SCOPE_SESSION, rule="Bash(make:*)")
    in_run = pb.ApprovalResolved(approval_id="3", scope=pb.APPROVAL_SCOPE_RUN, rule="Bash(npm:*)")
    folded = fold(
        pb.Attempt(),
        events(
            {"approval_resolved": pb.ApprovalResolved(approval_id="1")},
            {"approval_resolved": in_session},
            {"approval_resolved": in_run},
        ),
    )
    assert list(folded.allowed_rules) == ["Bash(make:*)"]


def test_a_question_is_overdue_from_its_deny_time() -> None:
    """A question without a deny time waits forever."""
    approval = pb.Approval(deny_time=Timestamp(seconds=5))
    assert [is_overdue(approval, now) for now in (4_999_999, 5_000_000, 5_000_001)] == [False, True, True]
    assert is_overdue(pb.Approval(), 9_000_000) is False
