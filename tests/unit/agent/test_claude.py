"""How the host of Claude converts the messages of the SDK to events."""

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from agent_svc.agents.base.images import Picture
from agent_svc.agents.base.tool_vocabulary import ToolCall
from agent_svc.agents.claude.driver import ClaudeDriver
from heddle import pb

pytest.importorskip("claude_agent_sdk", reason="claude_agent_sdk is not installed")

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    ServerToolResultBlock,
    ServerToolUseBlock,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from agent_svc.agents.claude.failures import api_failure, error_of, failure, wish
from agent_svc.agents.claude.messages.rate_limits import RateLimit
from agent_svc.agents.claude.messages.tool_calls import tool_call
from agent_svc.agents.claude.messages.transcript import Transcript
from agent_svc.agents.claude.messages.usage import Spending, SubAgentCalls
from agent_svc.agents.claude.options import claude_options
from agent_svc.agents.claude.permission_hook import Guard


def piece(**event: Any) -> StreamEvent:
    return StreamEvent(uuid="u", session_id="s", event=event)


def take(*messages: Message, worktree: Path = Path("/tree")) -> list[pb.Event]:
    times = iter(range(100))
    transcript = Transcript(worktree, lambda: next(times))
    events = [event for message in messages for event in transcript.take(message)]
    return events + transcript.end()


def test_a_text_that_came_in_pieces_comes_once() -> None:
    """A whole message adds nothing if its pieces were already reported."""
    events = take(
        piece(type="message_start", message={"id": "m1"}),
        piece(type="content_block_start", content_block={"type": "text"}),
        piece(type="content_block_delta", delta={"type": "text_delta", "text": "Hel"}),
        piece(type="content_block_delta", delta={"type": "text_delta", "text": "lo"}),
        AssistantMessage([TextBlock("Hello")], model="m", message_id="m1"),
        piece(type="content_block_stop"),
    )
    assert [(event.message.text, event.message.last) for event in events] == [
        ("Hel", False),
        ("lo", False),
        ("", True),
    ]


def test_a_text_without_pieces_comes_whole() -> None:
    """A message without earlier pieces, such as that of a subagent, is reported whole."""
    (event,) = take(AssistantMessage([TextBlock("Hello")], model="m", message_id="m2"))
    assert (event.message.text, event.message.last) == ("Hello", True)


def test_claudes_own_word_of_an_error_is_no_message_of_the_model() -> None:
    """Claude's own error text is not a message, because the end of the session reports the error."""
    assert take(AssistantMessage([TextBlock("API Error: 529")], model="<synthetic>")) == []


def test_a_call_ends_once_with_its_duration() -> None:
    """A result ends its call; a result without a call is ignored."""
    events = take(
        AssistantMessage([ToolUseBlock("1", "Bash", {"command": "ls"})], model="m"),
        UserMessage(
            [ToolResultBlock("1", [{"type": "text", "text": "a"}, {"type": "image"}], is_error=None)]
        ),
        UserMessage([ToolResultBlock("1", "again"), ToolResultBlock("2", "another")]),
    )
    started, finished = events
    assert started.tool_started == pb.ToolStarted(
        tool_call_id="1", name="Bash", target="ls", kind=pb.TOOL_KIND_COMMAND, input="ls"
    )
    assert (finished.tool_finished.ok, finished.tool_finished.result) == (True, "a\n[image]")
    assert finished.tool_finished.duration.seconds == 1


def test_pictures_of_results_are_found() -> None:
    """A picture in a result belongs to its call; other parts and results without a call have no pictures."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}
    linked = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}}
    transcript = Transcript(Path("/tree"), lambda: 0)
    transcript.take(AssistantMessage([ToolUseBlock("1", "Read", {"file_path": "/tree/a.png"})], model="m"))
    result = ToolResultBlock("1", [{"type": "text", "text": "a"}, image, linked, {"type": "image"}])
    assert transcript.pictures(UserMessage([result, ToolResultBlock("2", [image])])) == [
        Picture("image/png", "QQ==", "Read a.png")
    ]
    assert transcript.pictures(UserMessage("text")) == []


def test_what_was_begun_is_ended() -> None:
    """Open messages and calls are ended when Claude ends in the middle of them."""
    message, call = take(
        AssistantMessage([ToolUseBlock("1", "Bash", {"command": "ls"})], model="m"),
        piece(type="content_block_start", content_block={"type": "thinking"}),
    )[1:]
    assert (message.message.last, message.message.kind) == (True, pb.MESSAGE_KIND_THINKING)
    assert (call.tool_finished.ok, call.tool_finished.result) == (False, "interrupted")


def test_waiting_for_the_api_is_told() -> None:
    """A retry reports the API's answer and the time until the next try."""
    data = {
        "error_status": 529,
        "error": "overloaded",
        "attempt": 1,
        "max_retries": 5,
        "retry_delay_ms": 1500,
    }
    (event,) = take(SystemMessage("api_retry", data))
    assert event.output.text == "The API answered 529 (overloaded); try 1 of 5 follows in 1.5 s.\n"


def test_servers_that_are_not_there_and_summaries_are_told() -> None:
    """The log reports missing servers, and that the conversation was replaced by a summary."""
    servers = [{"name": "good", "status": "connected"}, {"name": "bad", "status": "failed"}, "nonsense"]
    missing, shorter = take(
        SystemMessage("init", {"mcp_servers": servers}),
        SystemMessage("compact_boundary", {"compact_metadata": {"trigger": "auto", "pre_tokens": 150000}}),
    )
    assert "'bad' is not there (it failed to start)" in missing.output.text
    assert "150,000 tokens" in shorter.output.text


def call_of(name: str, **told: Any) -> ToolCall:
    return tool_call(Path("/tree"), "1", name, told)


@pytest.mark.parametrize(
    ("call", "target", "shown"),
    [
        (call_of("Read", file_path="/tree/a.py"), "a.py", '"file_path": "/tree/a.py"'),
        (call_of("Write", file_path="b/c.py", content="text"), "b/c.py", "text"),
        (call_of("Edit", file_path="/etc/x", old_string="a\nb", new_string="c"), "/etc/x", "- a\n- b\n+ c"),
        (call_of("Bash", command="ls -l", description="Lists"), "ls -l", "ls -l"),
        (call_of("Grep", pattern="TODO", path="/tree/src"), "src", '"pattern": "TODO"'),
        (call_of("Glob", pattern="**/*.py"), "**/*.py", '"pattern"'),
        (call_of("WebFetch", url="https://example.com"), "https://example.com", '"url"'),
        (call_of("mcp__x__y", number=3), "", '"number": 3'),
    ],
)
def test_calls_say_what_they_touch(call: ToolCall, target: str, shown: str) -> None:
    """A file path is relative to the worktree, a command is shown as it is, and the input is readable."""
    assert call.target == target
    assert shown in call.input


def used(tokens: int, cost: float) -> dict[str, Any]:
    return {"inputTokens": tokens, "outputTokens": 1, "costUSD": cost}


def test_a_list_of_todos_is_a_checklist() -> None:
    """A plan is reported as for other agents; any other input is shown unchanged."""
    told = {
        "todos": [
            {"content": "Read", "status": "completed"},
            {"content": "Write\nit", "status": "in_progress"},
        ]
    }
    assert call_of("TodoWrite", **told).input == "- [x] Read\n- [>] Write it"
    assert "later" in call_of("TodoWrite", todos=["later"]).input


def test_usage_of_sub_agents_is_told_apart() -> None:
    """A report with the tokens of one sub-agent's calls names it; one with those of several names none."""
    calls = SubAgentCalls()

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


def test_usage_is_what_was_added() -> None:
    """Each report contains the difference to the previous one, by model; no difference, no report."""
    spending = Spending()
    (first,) = spending.report({"m": used(10, 0.001)})
    assert (first.usage.input_tokens, first.usage.cost_usd_micros) == (10, 1000)
    assert spending.report({"m": used(10, 0.001)}) == []
    second, other = spending.report({"m": used(15, 0.003), "n": used(1, 0)})
    assert (second.usage.input_tokens, second.usage.output_tokens, second.usage.cost_usd_micros) == (
        5,
        0,
        2000,
    )
    assert (other.usage.model, other.usage.cost_usd_micros) == ("n", 0)


def test_an_earlier_session_is_not_paid_again() -> None:
    """Usage from before the session began is not reported as usage of this session."""
    spending = Spending()
    spending.begin({"m": used(10, 0.001)})
    (report,) = spending.report({"m": used(12, 0.002)})
    assert (report.usage.input_tokens, report.usage.cost_usd_micros) == (2, 1000)


def test_a_cost_that_is_not_told_stays_unknown() -> None:
    """An absent cost stays unknown; it is not zero."""
    (report,) = Spending().report({"m": {"inputTokens": 1}})
    assert not report.usage.HasField("cost_usd_micros")


def result(subtype: str = "success", *, is_error: bool = False, **fields: Any) -> ResultMessage:
    return ResultMessage(
        subtype=subtype,
        duration_ms=1,
        duration_api_ms=1,
        is_error=is_error,
        num_turns=3,
        session_id="s",
        **fields,
    )


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (result(), ""),
        (result("error_max_turns", is_error=True), "max_turns"),
        (result("error_max_budget_usd", is_error=True), "budget"),
        (result(is_error=True, api_error_status=429, result="limit"), "rate limited (429)"),
        (
            result(is_error=True, api_error_status=503, result="down"),
            "the API failed (503): try again later. down",
        ),
        (result(is_error=True, api_error_status=418, result="tea"), "the API answered 418. tea"),
        (result(is_error=True, result="Connection refused"), "Connection refused"),
        (result("error_during_execution", is_error=True, errors=["a", "b"]), "a; b"),
    ],
)
def test_says_why_it_failed(ended: ResultMessage, expected: str) -> None:
    """An error with the subtype of a success is recognised, and its reason says what to do."""
    assert expected in failure(ended)
    assert bool(failure(ended)) is ended.is_error


@pytest.mark.parametrize(
    ("ended", "outcome", "retry_after"),
    [
        (result("error_max_budget_usd", is_error=True), pb.OUTCOME_OVER_BUDGET, None),
        (result(is_error=True, api_error_status=429, result="limit"), pb.OUTCOME_RATE_LIMITED, 7),
        (result(is_error=True, api_error_status=529, result="busy"), pb.OUTCOME_RATE_LIMITED, 7),
        (result(is_error=True, api_error_status=500, result="down"), pb.OUTCOME_PROVIDER_UNAVAILABLE, 7),
        (result(is_error=True, api_error_status=404, result="gone"), pb.OUTCOME_FAILED, None),
        (result("error_max_turns", is_error=True, errors=["overloaded"]), pb.OUTCOME_FAILED, None),
    ],
)
def test_tells_limits_apart(
    ended: ResultMessage, outcome: "pb.Outcome.ValueType", retry_after: float | None
) -> None:
    """A used-up budget and a busy or unreachable provider are not failures of the task."""
    error = error_of(ended, 7, RateLimit(reached=True, kind="five-hour limit", ends_at=1_800_000_000))
    assert error is not None
    assert str(error).startswith("Claude's five-hour limit is reached (429)") is (
        ended.api_error_status == 429
    )
    assert (error.outcome, error.retry_after) == (outcome, retry_after)
    assert (error.retry_at is None) is (retry_after is None)


@pytest.mark.parametrize(
    ("attempt", "delay_ms", "wished"),
    [(1, 596, None), (2, 1075, None), (5, 9800, None), (1, 2446, 2.446), (5, 40_100, 40.1), (1, None, None)],
)
def test_claudes_own_delay_is_no_wish(attempt: int, delay_ms: int | None, wished: float | None) -> None:
    """Claude's own delay between two tries is not read as the delay that the provider requests."""
    assert wish({"attempt": attempt, "retry_delay_ms": delay_ms}) == wished


def test_refused_credentials_say_how_to_log_in() -> None:
    """The reason names the status and how to log in."""
    assert "log in with `claude`" in api_failure(401, "invalid x-api-key")


def test_says_how_it_is_logged_in(tmp_path: Path) -> None:
    """A login by a variable or by a file is named; without a login, the message says how to log in."""
    home = {"HOME": str(tmp_path)}
    assert "ANTHROPIC_API_KEY" in ClaudeDriver(environ={**home, "ANTHROPIC_API_KEY": "k"}).program().detail
    assert "log in" in ClaudeDriver(environ=home).program().detail
    (tmp_path / ".claude").mkdir()
    credentials = tmp_path / ".claude" / ".credentials.json"
    credentials.write_text("{}")
    program = ClaudeDriver(environ=home).program()
    assert str(credentials) in program.detail
    assert (program.available, program.version.startswith("claude-agent-sdk 0.2")) == (True, True)


def test_only_a_new_session_stops_itself_at_its_budget() -> None:
    """Claude includes the earlier cost of a resumed session, so the scheduler enforces its budget."""
    session = pb.StartSessionRequest(budget_usd_micros=50_000)
    guard = create_autospec(Guard, instance=True)

    assert claude_options(session, guard, "").max_budget_usd == 0.05
    assert claude_options(session, guard, "earlier").max_budget_usd is None
    session.ClearField("budget_usd_micros")
    assert claude_options(session, guard, "").max_budget_usd is None


def test_a_plan_is_reported_after_the_call_that_changes_it() -> None:
    """A call that failed is shown as a call."""
    created = AssistantMessage([ToolUseBlock("1", "TaskCreate", {"subject": "Read"})], model="m")
    assert (
        take(created, UserMessage([ToolResultBlock("1", "Task #1 created")]))[0].tool_started.input
        == "- [ ] Read"
    )
    started, finished = take(created, UserMessage([ToolResultBlock("1", "no", is_error=True)]))
    assert (started.tool_started.name, finished.tool_finished.ok) == ("TaskCreate", False)
    started, finished = take(created)
    assert (started.tool_started.name, finished.tool_finished.result) == ("TaskCreate", "interrupted")


def test_texts_of_other_messages_are_told() -> None:
    """Only the message whose pieces came is left out; pieces without a block, or of another kind, say nothing."""
    events = take(
        piece(type="message_start", message={"id": "m1"}),
        piece(type="content_block_delta", delta={"type": "text_delta", "text": "lost"}),
        piece(type="content_block_start", content_block={"type": "tool_use"}),
        piece(type="content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}),
        piece(type="content_block_stop"),
        piece(type="content_block_start", content_block={"type": "thinking"}),
        piece(type="content_block_delta", delta={"type": "thinking_delta", "thinking": "Hm"}),
        piece(type="content_block_stop"),
        AssistantMessage([ThinkingBlock("Hm", "s"), TextBlock("a")], model="m", message_id="m1"),
        AssistantMessage(
            [ThinkingBlock("So", "s"), TextBlock("b")], model="m", message_id="m2", parent_tool_use_id="p"
        ),
    )
    text, thinking = pb.MESSAGE_KIND_TEXT, pb.MESSAGE_KIND_THINKING
    assert [(event.message.kind, event.message.text, event.message.last) for event in events] == [
        (thinking, "Hm", False),
        (thinking, "", True),
        (thinking, "So", True),
        (text, "b", True),
    ]
    assert [event.message.parent_tool_call_id for event in events] == ["", "", "p", "p"]


def test_tools_of_the_api_are_calls() -> None:
    """Their result is a block of the same message; one without a call is ignored."""
    used_by_api = ServerToolUseBlock("1", "web_search", {"query": "x"})
    answer = ServerToolResultBlock("1", {"type": "result", "n": 1})
    started, finished = take(AssistantMessage([used_by_api, answer, answer], model="m"))
    assert (started.tool_started.target, finished.tool_finished.ok) == ("x", True)
    assert '"n": 1' in finished.tool_finished.result
    (ended,) = take(
        AssistantMessage([ToolUseBlock("2", "Bash", {"command": "ls"})], model="m"),
        UserMessage([ToolResultBlock("2", None, is_error=True)]),
    )[1:]
    assert (ended.tool_finished.ok, ended.tool_finished.result) == (False, "")


def test_notes_about_the_service() -> None:
    """A network error has no status; an unknown size and a working server are not mentioned."""
    unreachable, shorter, login = take(
        SystemMessage("api_retry", {"error": "timeout", "attempt": 2, "max_retries": 3}),
        SystemMessage("compact_boundary", {"compact_metadata": {"pre_tokens": "many"}}),
        SystemMessage("init", {"mcp_servers": [{"name": "a", "status": "needs-auth"}]}),
        SystemMessage("init", {"mcp_servers": {"a": {"status": "failed"}}}),
        SystemMessage("other", {}),
    )
    assert unreachable.output.text == "The API cannot be reached (timeout); try 2 of 3 follows in 0.0 s.\n"
    assert shorter.output.text == (
        "The conversation had become too long: Claude continues with a summary of it.\n"
    )
    assert login.output.text == (
        "The MCP server 'a' is not there (it wants a login): the agent works without its tools.\n"
    )


def test_an_isolated_agent_is_out_of_reach() -> None:
    """It counts like the network, because the plan's rules do not reach it."""
    assert call_of("Task", prompt="x").kind == pb.TOOL_KIND_DELEGATE
    assert call_of("Task", prompt="x", isolation="worktree").kind == pb.TOOL_KIND_NETWORK
    assert call_of("Bash", command="x", isolation="worktree").kind == pb.TOOL_KIND_COMMAND
    assert call_of("Unheard", x=1).kind == pb.TOOL_KIND_OTHER
