from pathlib import Path
from typing import Any

import pytest
from acp.schema import PromptResponse, SessionNotification

from agent_svc.agents.acp.memory import Memory
from agent_svc.agents.acp.transcript import Transcript
from heddle import pb


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Session:
    """A transcript that receives updates in the protocol's own form."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.transcript = Transcript(Path("/w"), self.clock)
        self.transcript.spending.model = "model-x"

    def say(self, kind: str, /, **update: Any) -> list[pb.Event]:
        said = SessionNotification.model_validate(
            {"sessionId": "s", "update": {"sessionUpdate": kind, **update}}
        )
        return self.transcript.update(said.update)

    def text(self, text: str, kind: str = "agent_message_chunk", **more: Any) -> list[pb.Event]:
        return self.say(kind, content={"type": "text", "text": text}, **more)

    def call(self, **said: Any) -> list[pb.Event]:
        return self.say("tool_call", **{"toolCallId": "1", "title": "t", **said})

    def progress(self, **said: Any) -> list[pb.Event]:
        return self.say("tool_call_update", **{"toolCallId": "1", **said})


@pytest.fixture
def session() -> Session:
    return Session()


def spoken(events: list[pb.Event]) -> list[tuple[int, str, bool]]:
    return [(event.message.kind, event.message.text, event.message.last) for event in events]


def test_pieces_of_a_message_end_with_the_next_one(session: Session) -> None:
    """Pieces are reported as they arrive; thinking, another message or a call ends the message."""
    text, thinking = pb.MESSAGE_KIND_TEXT, pb.MESSAGE_KIND_THINKING
    assert spoken(session.text("hm", "agent_thought_chunk")) == [(thinking, "hm", False)]
    assert spoken(session.text("Hel", messageId="a")) == [(thinking, "", True), (text, "Hel", False)]
    assert spoken(session.text("lo", messageId="a")) == [(text, "lo", False)]
    assert spoken(session.text("New", messageId="b")) == [(text, "", True), (text, "New", False)]
    ended, started = session.call(kind="read", status="in_progress")
    assert spoken([ended]) == [(text, "", True)]
    assert started.HasField("tool_started")


def test_a_call_is_told_once_it_is_known(session: Session) -> None:
    """A call starts once, when its input is known, and finishes once, with its duration."""
    assert session.call(kind="execute", status="pending", rawInput={}) == []
    (started,) = session.progress(rawInput={"command": "ls"})
    assert started.tool_started.target == "ls"
    assert session.progress(status="in_progress") == []
    session.clock.now += 1.5
    (finished,) = session.progress(
        status="completed", content=[{"type": "content", "content": {"type": "text", "text": "a b"}}]
    )
    assert finished.tool_finished.ok
    assert finished.tool_finished.result == "a b"
    assert finished.tool_finished.duration.ToTimedelta().total_seconds() == 1.5
    assert session.progress(status="completed") == []


def test_a_failed_call_says_so(session: Session) -> None:
    """A call that first appears as failed is reported with its start and its end."""
    started, finished = session.call(kind="execute", status="failed", rawOutput="no such command")
    assert started.tool_started.tool_call_id == finished.tool_finished.tool_call_id == "1"
    assert not finished.tool_finished.ok
    assert finished.tool_finished.result == "no such command"


def test_a_turn_leaves_nothing_open(session: Session) -> None:
    """The end of a turn ends its message and all calls that are still open."""
    session.call(kind="execute", rawInput={"command": "sleep 9"})
    session.text("I am")
    message, finished = session.transcript.end_turn(PromptResponse(stop_reason="cancelled"))
    assert message.message.last
    assert not finished.tool_finished.ok
    assert session.transcript.end_turn(None) == []


def test_plans_are_told_as_lists(session: Session) -> None:
    """A plan is reported as a call of the tool that agents use for their task lists."""
    entries = [
        {"content": "Look", "priority": "high", "status": "completed"},
        {"content": "Do", "priority": "high", "status": "in_progress"},
        {"content": "Test", "priority": "low", "status": "pending"},
    ]
    started, finished = session.say("plan", entries=entries)
    assert started.tool_started.name == "TodoWrite"
    assert started.tool_started.input == "- [x] Look\n- [>] Do\n- [ ] Test"
    assert finished.tool_finished.ok
    again, _ = session.say("plan", entries=entries)
    assert again.tool_started.tool_call_id != started.tool_started.tool_call_id


def cost(session: Session, amount: float, currency: str = "USD") -> list[int]:
    said = session.say("usage_update", used=1, size=2, cost={"amount": amount, "currency": currency})
    return [event.usage.cost_usd_micros for event in said]


def test_cost_is_told_as_differences(session: Session) -> None:
    """Reports are cumulative; usage events contain only the difference, and no report counts twice."""
    assert cost(session, 0.010) == [10_000]
    assert cost(session, 0.010) == []
    assert cost(session, 0.0305) == [20_500]
    assert cost(session, 0.002) == [2_000]
    assert session.say("usage_update", used=1, size=2) == []


def turn(**usage: int) -> PromptResponse:
    return PromptResponse.model_validate({"stopReason": "end_turn", "usage": usage})


def test_tokens_are_told_by_turn(session: Session) -> None:
    """A turn's tokens are reported by kind; their cost is known only if the agent reports cost."""
    response = turn(totalTokens=100, inputTokens=10, outputTokens=20, cachedReadTokens=40, thoughtTokens=30)
    (told,) = session.transcript.end_turn(response)
    expected = pb.Usage(model="model-x", input_tokens=10, output_tokens=50, cache_read_tokens=40)
    assert told.usage == expected
    assert cost(session, 0.01) == [10_000]
    (told,) = session.transcript.end_turn(response)
    assert told.usage.HasField("cost_usd_micros")
    assert told.usage.cost_usd_micros == 0


def test_another_currency_is_no_cost(session: Session) -> None:
    """A cost in euros is not read as dollars."""
    assert cost(session, 0.01, "EUR") == []
    (told,) = session.transcript.end_turn(turn(totalTokens=3, inputTokens=1, outputTokens=2))
    assert not told.usage.HasField("cost_usd_micros")


def test_what_is_not_shown_is_passed_over(session: Session) -> None:
    """Pictures in speech, replayed prompts and lists of commands create no event."""
    assert session.say("agent_message_chunk", content={"type": "image", "data": "", "mimeType": "x"}) == []
    assert session.text("prompt", "user_message_chunk") == []
    assert session.say("available_commands_update", availableCommands=[]) == []


def test_a_resumed_session_pays_for_nothing_twice(session: Session) -> None:
    """A later attempt subtracts the cost that an earlier attempt reported for the session."""
    cost(session, 0.01)
    memory = Memory.parse(str(Memory("id:with:colons", session.transcript.spending.total)))
    assert memory == Memory("id:with:colons", 10_000)
    later = Session()
    later.transcript.spending.total = memory.spent
    assert cost(later, 0.015) == [5_000]


def test_open_calls_are_named(session: Session) -> None:
    """A command is named by its text, any other call by its label, until it ends."""
    session.call(toolCallId="1", kind="execute", rawInput={"command": "make"}, status="in_progress")
    session.call(toolCallId="2", kind="read", locations=[{"path": "/w/a"}], status="in_progress")
    assert session.transcript.open_calls() == ["make", "Read a"]
    session.progress(toolCallId="1", status="completed")
    assert session.transcript.open_calls() == ["Read a"]


def test_a_call_begins_once(session: Session) -> None:
    """A question about a call reports its beginning if nothing has, and never after its end."""
    session.call(kind="execute", status="pending")
    [begun] = session.transcript.begin("1")
    assert begun.tool_started.tool_call_id == "1"
    assert session.transcript.begin("1") == []
    session.progress(status="completed")
    assert session.transcript.begin("1") == []


def test_a_terminal_belongs_to_the_call_that_shows_it(session: Session) -> None:
    """The output of a terminal is that of the call whose content names it."""
    session.call(toolCallId="1", kind="execute", rawInput={"command": "ls"})
    session.call(
        toolCallId="2",
        kind="execute",
        rawInput={"command": "make"},
        content=[{"type": "terminal", "terminalId": "t"}],
    )
    assert session.transcript.call_of_terminal("t") == "2"
    assert session.transcript.call_of_terminal("u") == ""


def test_a_call_that_the_turn_left_open_has_failed(session: Session) -> None:
    """After the end of a turn, later reports of its calls are ignored, and its plans are numbered."""
    session.call(kind="execute", rawInput={"command": "make"})
    [ended] = [event for event in session.transcript.end_turn(None) if event.HasField("tool_finished")]
    assert (ended.tool_finished.ok, ended.tool_finished.result) == (False, "the turn ended before it did")
    assert session.transcript.call("1").status == "failed"
    assert session.progress(status="completed") == []
    entry = {"content": "x", "priority": "low", "status": "pending"}
    plans = [session.say("plan", entries=[entry])[0].tool_started.tool_call_id for _ in range(2)]
    assert plans == ["plan-1", "plan-2"]


def test_the_context_of_the_model_is_known_after_its_first_report(session: Session) -> None:
    """Both sizes are zero, which means unknown, until the agent reports them."""
    assert session.transcript.context == (0, 0)
    session.say("usage_update", used=7, size=9)
    assert session.transcript.context == (7, 9)
