"""No output of a model or of an agent's program breaks the host that reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_svc.agents.base import protocol
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.agents.base.tool_vocabulary import ToolCall, relative_target
from agent_svc.agents.codex.transcript import Transcript as CodexTranscript
from agent_svc.text import whole_characters
from heddle import pb

# Half a character, a byte that paths cannot contain, and values that are too large.
NASTY = ("\ud800", "a\0b", "\udfff/x", "../" * 40, "x" * 5000, "~root", "", "/", ".")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(NASTY)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


def shaped(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Returns objects with these fields, of which some are missing or have any value."""
    return st.fixed_dictionaries({}, optional={name: given_as | JSON for name, given_as in fields.items()})


ITEMS = shaped(
    id=st.sampled_from(["1", "2"]),
    type=st.sampled_from(
        [
            "command_execution",
            "file_change",
            "mcp_tool_call",
            "web_search",
            "todo_list",
            "reasoning",
            "error",
            "x",
        ]
    ),
    command=st.just("/bin/bash -lc ls"),
    aggregated_output=st.text(max_size=5),
    exit_code=st.integers(),
    changes=st.lists(shaped(path=st.sampled_from(NASTY), kind=st.just("add")), max_size=2),
    items=st.lists(shaped(text=st.text(max_size=3), completed=st.booleans()), max_size=2),
    server=st.just("s"),
    tool=st.just("t"),
    result=shaped(content=st.lists(shaped(type=st.just("text"), text=st.text(max_size=3)), max_size=2)),
    error=shaped(message=st.text(max_size=3)),
    query=st.just("q"),
    text=st.text(max_size=4),
    message=st.text(max_size=4),
    status=st.just("completed"),
)
CODEX = shaped(
    type=st.sampled_from(
        [
            "item.started",
            "item.completed",
            "turn.completed",
            "turn.failed",
            "error",
            "thread.started",
            "turn.started",
        ]
    ),
    item=ITEMS,
    usage=shaped(input_tokens=st.integers(), output_tokens=st.integers(), cached_input_tokens=st.integers()),
    error=shaped(message=st.text(max_size=3)),
    message=st.text(max_size=4),
    thread_id=st.text(max_size=4),
)

EVENT = shaped(
    toolStarted=shaped(
        toolCallId=st.text(max_size=3), name=st.text(max_size=3), kind=st.just("TOOL_KIND_EDIT")
    ),
    toolFinished=shaped(toolCallId=st.text(max_size=3), ok=st.booleans(), duration=st.just("1s")),
    message=shaped(text=st.text(max_size=3), last=st.booleans()),
    output=shaped(text=st.text(max_size=3), stream=st.just(1)),
    usage=shaped(model=st.text(max_size=3), inputTokens=st.integers(), costUsdMicros=st.integers()),
    approvalRequested=shaped(approvalId=st.text(max_size=3), wait=st.just("3s")),
    sessionStarted=shaped(agentSessionId=st.text(max_size=3)),
    sessionFinished=shaped(outcome=st.just(2), reason=st.text(max_size=3)),
    closing=st.integers(),
)


def sendable(events: list[pb.Event]) -> None:
    """Fails unless each event says something, and is the same after it was written to the log or sent."""
    for event in events:
        assert event.WhichOneof("payload")
        assert pb.Event.FromString(event.SerializeToString()) == event
        assert protocol.parse_event(protocol.line_of(event)) == event


@settings(max_examples=60, deadline=None)
@given(st.lists(CODEX, max_size=4))
def test_codex(lines: list[dict[str, Any]]) -> None:
    """Any output of codex becomes events or output."""
    transcript = CodexTranscript(Path("/tree"), "m", lambda: 0.0)
    for said in lines:
        sendable(transcript.line(json.dumps(said).encode()))
    sendable(transcript.end_turn())


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT.map(lambda said: json.dumps(said).encode()) | st.binary(max_size=20), max_size=4))
def test_a_host(lines: list[bytes]) -> None:
    """Any output of a host becomes events or output."""
    translator = HostTranslator()
    for line in lines:
        sendable(translator.stdout(line + b"\n"))
    sendable(translator.end())


PICTURE = shaped(type=st.just("base64"), media_type=st.just("image/png"), data=st.just("QQ"))
CONTENT = shaped(type=st.sampled_from(["text", "image"]), text=st.text(max_size=3), source=PICTURE)
TOOL_INPUT = shaped(
    command=st.sampled_from(NASTY),
    file_path=st.sampled_from(NASTY),
    todos=st.lists(shaped(content=st.text(max_size=3), status=st.just("completed")), max_size=2),
    taskId=st.just("1"),
    subject=st.sampled_from(NASTY),
    isolation=st.just("worktree"),
)
CALLS = st.tuples(
    st.sampled_from(["Bash", "Write", "Edit", "TodoWrite", "TaskCreate", "TaskUpdate", "Agent", "mcp__x"]),
    TOOL_INPUT,
    st.sampled_from(NASTY),
    st.none() | st.sampled_from(NASTY) | st.lists(CONTENT, max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CALLS, max_size=3))
def test_claude(calls: list[tuple[str, dict[str, Any], str, Any]]) -> None:
    """Any message or call of Claude's model and any answer of its tools becomes events."""
    sdk = pytest.importorskip("claude_agent_sdk")
    from agent_svc.agents.claude.messages.transcript import Transcript  # noqa: PLC0415 (imports the SDK)

    transcript = Transcript(Path("/tree"), lambda: 0.0)
    for number, (name, told, text, content) in enumerate(calls):
        call = sdk.ToolUseBlock(str(number), name, told)
        sendable(transcript.take(sdk.AssistantMessage([sdk.TextBlock(text), call], model="m")))
        answer = sdk.UserMessage([sdk.ToolResultBlock(str(number), content)])
        transcript.pictures(answer)
        sendable(transcript.take(answer))
    sendable(transcript.end())


NASTY_TEXT = st.sampled_from(NASTY)
UPDATES = st.fixed_dictionaries(
    {
        "sessionUpdate": st.just("tool_call"),
        "toolCallId": st.sampled_from(["1", "2"]),
        "title": NASTY_TEXT,
        "kind": st.sampled_from(["edit", "execute", "read", "fetch", "other", "search"]),
        "status": st.sampled_from(["pending", "in_progress", "completed", "failed"]),
        "rawInput": shaped(command=NASTY_TEXT, path=NASTY_TEXT, content=NASTY_TEXT, url=NASTY_TEXT) | JSON,
        "rawOutput": JSON,
        "content": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.just("diff"),
                    "path": NASTY_TEXT,
                    "newText": NASTY_TEXT,
                    "oldText": st.none() | NASTY_TEXT,
                }
            ),
            max_size=2,
        ),
        "locations": st.lists(st.fixed_dictionaries({"path": NASTY_TEXT}), max_size=2),
        "_meta": shaped(claudeCode=shaped(toolName=NASTY_TEXT, parentToolUseId=NASTY_TEXT)) | st.none(),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(UPDATES, max_size=3))
def test_acp(updates: list[dict[str, Any]]) -> None:
    """Any message of an ACP agent in the forms of the protocol becomes events."""
    schema = pytest.importorskip("acp.schema")
    from agent_svc.agents.acp.transcript import Transcript  # noqa: PLC0415 (imports the library)

    transcript = Transcript(Path("/tree"), lambda: 0.0)
    for said in updates:
        try:
            update = schema.ToolCallStart.model_validate(whole_characters(said))
        except ValueError:
            # The protocol's library refuses it before the host receives it.
            continue
        sendable(transcript.update(update))
    sendable(transcript.end_turn(None))


def test_paths_that_are_none(tmp_path: Path) -> None:
    """An invalid path (NUL, half a character, a loop of links, too long) is shown and counts as outside."""
    (tmp_path / "loop").symlink_to("loop")
    for path in ("a\0b", "\ud800", "loop", "loop/x", "x" * 5000):
        target = relative_target(tmp_path, path)
        call = ToolCall("1", "Write", target, pb.TOOL_KIND_EDIT, "")
        sendable([call.started()])
        assert not call.writes_inside or path == "x" * 5000
