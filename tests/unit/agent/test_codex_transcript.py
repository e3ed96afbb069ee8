import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_svc.agents.codex.transcript import MAX_RESULT_BYTES, Transcript, plain_command
from heddle import pb

WORKTREE = Path("/srv/tree")


@pytest.fixture
def transcript() -> Transcript:
    ticks: Iterator[int] = count()
    made = Transcript(WORKTREE, "gpt-5.5", lambda: float(next(ticks)))
    made.begin_turn()
    return made


def line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


def item(phase: str, kind: str, item_id: str = "item_0", **fields: Any) -> bytes:
    return line(type=f"item.{phase}", item={"id": item_id, "type": kind, **fields})


def tools(events: list[pb.Event]) -> list[tuple[str, str, str]]:
    started = [event.tool_started for event in events if event.HasField("tool_started")]
    return [(tool.tool_call_id, tool.name, tool.target) for tool in started]


def test_what_a_command_prints_is_told_once(transcript: Transcript) -> None:
    """Output too long for a result is reported as output of its call, and not repeated in the result."""
    printed = "x" * (MAX_RESULT_BYTES + 1)
    said = item("completed", "command_execution", command="cat x", aggregated_output=printed, exit_code=3)
    _, shown, finished = transcript.line(said)
    assert (shown.output.text, shown.output.tool_call_id) == (printed, "1.item_0")
    assert finished.tool_finished.result == "exit code 3"


def test_recorded_command(transcript: Transcript) -> None:
    """A command is a Bash call with its output and exit code, without the shell wrapper."""
    command = "/bin/bash -lc 'echo hi; exit 3'"
    begun = transcript.line(
        item("started", "command_execution", command=command, aggregated_output="", exit_code=None)
    )
    done = transcript.line(
        item(
            "completed",
            "command_execution",
            command=command,
            aggregated_output="hi\n",
            exit_code=3,
            status="failed",
        )
    )
    assert tools(begun) == [("1.item_0", "Bash", "echo hi; exit 3")]
    [finished] = done
    assert not finished.tool_finished.ok
    assert finished.tool_finished.result == "exit code 3\nhi\n"
    assert finished.tool_finished.duration.seconds == 1
    assert transcript.end_turn() == []


@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [
        ("/bin/bash -lc 'echo $HOME'", "echo $HOME"),
        ("/bin/bash -lc ls", "ls"),
        ('/bin/bash -lc "echo \\"it\'s "\'$HOME `id`" !x\'', 'echo "it\'s $HOME `id`" !x'),
        ("/bin/bash -lc \"printf 'a\\\\377b\\\\n'\"", "printf 'a\\377b\\n'"),
        ("/usr/bin/zsh -lc 'a\nb'", "a\nb"),
        ("git status", "git status"),
        ("/bin/bash -lc 'never closed", "/bin/bash -lc 'never closed"),
    ],
)
def test_shell_is_taken_off(wrapped: str, plain: str) -> None:
    """A command is shown as the model wrote it; a command without the shell wrapper is unchanged."""
    assert plain_command(wrapped) == plain


def test_changed_files_are_a_call_each(transcript: Transcript) -> None:
    """Each changed file is a separate call, with a relative path if it is inside the worktree."""
    changes = [
        {"path": "/srv/tree/a.txt", "kind": "add"},
        {"path": "/srv/tree/src/b.py", "kind": "update"},
        {"path": "/etc/c", "kind": "delete"},
    ]
    events = transcript.line(item("completed", "file_change", changes=changes, status="failed"))
    assert tools(events) == [
        ("1.item_0", "Write", "a.txt"),
        ("1.item_0.1", "Edit", "src/b.py"),
        ("1.item_0.2", "Delete", "/etc/c"),
    ]
    ends = [event.tool_finished for event in events if event.HasField("tool_finished")]
    assert [(end.tool_call_id, end.ok) for end in ends] == [
        ("1.item_0", False),
        ("1.item_0.1", False),
        ("1.item_0.2", False),
    ]


def test_other_tools(transcript: Transcript) -> None:
    """Calls of MCP servers, searches and to-do lists are reported like those of other agents."""
    result = {"content": [{"type": "text", "text": "42"}, {"type": "image", "data": "…"}]}
    events = transcript.line(
        item("completed", "mcp_tool_call", server="s", tool="t", arguments={"x": 1}, result=result)
    )
    assert tools(events) == [("1.item_0", "mcp__s__t", "")]
    assert events[1].tool_finished.result.startswith("42\n{")
    broken = item("completed", "mcp_tool_call", "item_1", server="s", tool="t", status="failed")
    assert not transcript.line(broken)[1].tool_finished.ok
    search = transcript.line(item("completed", "web_search", "item_2", query="heddle"))
    assert tools(search) == [("1.item_2", "WebSearch", "heddle")]
    todo = [{"text": "a", "completed": True}, {"text": "b", "completed": False}]
    lists = [
        transcript.line(item(phase, "todo_list", "item_3", items=todo)) for phase in ("started", "updated")
    ]
    assert [tools(events)[0][0] for events in lists] == ["plan-1", "plan-2"]
    assert lists[0][0].tool_started.input == "- [x] a\n- [ ] b"


def test_calls_that_codex_never_ends(transcript: Transcript) -> None:
    """The end of a turn ends its open calls; the next turn has its own numbers."""
    started = item("started", "command_execution", command="sleep 9")
    transcript.line(started)
    (ended,) = transcript.end_turn()
    assert (ended.tool_finished.tool_call_id, ended.tool_finished.ok) == ("1.item_0", False)
    transcript.begin_turn()
    assert tools(transcript.line(started)) == [("2.item_0", "Bash", "sleep 9")]


def test_usage_is_a_difference(transcript: Transcript) -> None:
    """Codex counts from the session's start and cached tokens twice; events contain each turn's usage."""
    first = {"input_tokens": 300, "cached_input_tokens": 120, "output_tokens": 30}
    second = {"input_tokens": 400, "cached_input_tokens": 160, "output_tokens": 40}
    (one,) = transcript.line(line(type="turn.completed", usage=first))
    (two,) = transcript.line(line(type="turn.completed", usage=second))
    (again,) = transcript.line(line(type="turn.completed", usage={"input_tokens": 9, "output_tokens": 2}))
    assert one.usage == pb.Usage(input_tokens=180, cache_read_tokens=120, output_tokens=30, model="gpt-5.5")
    assert two.usage == pb.Usage(input_tokens=60, cache_read_tokens=40, output_tokens=10, model="gpt-5.5")
    assert again.usage == pb.Usage(input_tokens=9, output_tokens=2, model="gpt-5.5")


def test_life_of_a_thread(transcript: Transcript) -> None:
    """The thread's id, the end of each turn and its failures are kept."""
    assert transcript.line(line(type="thread.started", thread_id="01a2")) == []
    assert transcript.thread_id == "01a2"
    (told,) = transcript.line(line(type="error", message="Reconnecting... 1/5 (no network)"))
    assert told.output.stream == pb.OUTPUT_STREAM_SYSTEM
    assert transcript.reconnecting
    transcript.line(line(type="turn.failed", error={"message": "it broke"}))
    assert (transcript.failure, transcript.reconnecting) == ("it broke", "")
    transcript.begin_turn()
    assert (transcript.failure, transcript.completed) == ("", False)


def test_sandbox_that_cannot_start(transcript: Transcript) -> None:
    """A sandbox's own error is distinguished from a command that calls bwrap itself."""
    said: dict[str, Any] = {
        "aggregated_output": "bwrap: Creating new namespace failed\n",
        "exit_code": 1,
        "status": "failed",
    }
    transcript.line(item("completed", "command_execution", command="bwrap ls", **said))
    before = transcript.sandbox_trouble
    transcript.line(item("completed", "command_execution", "item_1", command="ls", **said))
    assert (before, transcript.sandbox_trouble) == ("", "bwrap: Creating new namespace failed\n")


@pytest.mark.parametrize(
    "said",
    [
        item("completed", "collab_tool_call", what="new"),
        item("completed", "error", message="a warning"),
        line(type="thread.compacted"),
        item("completed", "agent_message"),
        item("started", "file_change", changes="all"),
        b"panicked at codex.rs\n",
        b'"text"\n',
        b"[" * 5000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_unknown_lines_are_output(transcript: Transcript, said: bytes) -> None:
    """A line with an unknown kind or shape becomes output of Heddle's own stream."""
    (event,) = transcript.line(said)
    assert event.output.stream == pb.OUTPUT_STREAM_SYSTEM
    assert event.output.text.endswith("\n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("id", "text", "command", "changes", "server", "tool", "result", "items", "exit_code", "message")
KINDS = ("agent_message", "command_execution", "file_change", "mcp_tool_call", "web_search", "todo_list")


# The time that a busy machine needs to draw data says nothing about the code.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(("item.started", "item.completed", "turn.completed", "turn.failed", "error")),
    st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(FIELDS, JSON)),
)
def test_no_shape_breaks_it(kind: str, inner: dict[str, Any]) -> None:
    """A line with any field values becomes events or output, never an exception."""
    transcript = Transcript(WORKTREE, "", lambda: 0.0)
    said = line(type=kind, item=inner, usage=inner, error=inner, message=inner.get("message"))
    events = [*transcript.line(said), *transcript.end_turn()]
    assert all(event.WhichOneof("payload") for event in events)
    assert [pb.Event.FromString(event.SerializeToString()) for event in events] == events
