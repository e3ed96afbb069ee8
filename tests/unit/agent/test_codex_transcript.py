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
    transcript.line(line(type=kind, item=inner, usage=inner, error=inner, message=inner.get("message")))
    transcript.end_turn()


@pytest.mark.parametrize(
    ("printed", "is_long"),
    [("x" * 65_536, False), ("x" * 65_537, True), ("é" * 32_768, False), ("é" * 32_769, True)],
)
def test_a_result_has_64_kib_at_most(transcript: Transcript, printed: str, is_long: bool) -> None:
    """The limit is in bytes; while a command runs, nothing is shown of what it prints."""
    said = {"command": "cat x", "aggregated_output": printed}
    assert len(transcript.line(item("started", "command_execution", **said))) == 1
    assert transcript.line(item("updated", "command_execution", **said)) == []
    *shown, finished = transcript.line(item("completed", "command_execution", **said, exit_code=0))
    assert [event.output.text for event in shown] == ([printed] if is_long else [])
    assert finished.tool_finished.result == ("" if is_long else printed)
    assert finished.tool_finished.ok


@pytest.mark.parametrize(
    ("fields", "ok", "result"),
    [
        ({"exit_code": 0, "aggregated_output": "a"}, True, "a"),
        ({"exit_code": None, "aggregated_output": None}, True, ""),
        ({"exit_code": 2}, False, "exit code 2"),
        ({"exit_code": -1, "aggregated_output": "a"}, False, "exit code -1\na"),
        ({"exit_code": 0, "status": "declined"}, False, ""),
        ({"exit_code": 1, "status": "completed"}, False, "exit code 1"),
    ],
)
def test_how_a_command_ends(transcript: Transcript, fields: dict[str, Any], ok: bool, result: str) -> None:
    """Both the exit code and the status decide whether it succeeded."""
    started, finished = transcript.line(item("completed", "command_execution", command="ls", **fields))
    assert started.tool_started.input == started.tool_started.target == "ls"
    assert started.tool_started.kind == pb.TOOL_KIND_COMMAND
    assert (finished.tool_finished.ok, finished.tool_finished.result) == (ok, result)


def test_a_new_turn_forgets_how_the_last_one_ended(transcript: Transcript) -> None:
    """Only the thread's id is kept."""
    transcript.line(line(type="thread.started", thread_id="01a2"))
    transcript.line(item("started", "command_execution", command="sleep 9"))
    transcript.line(item("started", "web_search", "item_1", query="x"))
    trouble = {"aggregated_output": "bwrap: no", "exit_code": 1}
    transcript.line(item("completed", "command_execution", "item_2", command="ls", **trouble))
    transcript.line(line(type="turn.completed", usage={}))
    transcript.line(line(type="turn.failed", error={"message": "it broke"}))
    transcript.line(line(type="error", message="Reconnecting... 1/5"))
    transcript.end_turn()
    assert transcript.cut_off == ["sleep 9"]
    assert transcript.completed
    assert (transcript.failure, transcript.reconnecting) == ("it broke", "Reconnecting... 1/5")
    assert transcript.sandbox_trouble == "bwrap: no"
    transcript.begin_turn()
    assert (transcript.failure, transcript.reconnecting, transcript.sandbox_trouble) == ("", "", "")
    assert (transcript.completed, transcript.cut_off, transcript.thread_id) == (False, [], "01a2")


def test_a_failed_turn_cuts_nothing_off(transcript: Transcript) -> None:
    """Commands that still run matter only after a success; their end is reported in any case."""
    transcript.line(item("started", "command_execution", command="sleep 9"))
    (ended,) = transcript.end_turn()
    assert ended.tool_finished.result == "the turn ended before it did"
    assert transcript.cut_off == []
    assert transcript.end_turn() == []


def test_codex_is_connected_after_any_other_line(transcript: Transcript) -> None:
    """An error that is no lost connection is only shown."""
    (shown,) = transcript.line(line(type="error", message="odd  "))
    assert (shown.output.text, transcript.reconnecting) == ("codex: odd\n", "")
    transcript.line(line(type="error", message="Reconnecting... 2/5"))
    assert transcript.reconnecting
    assert transcript.line(line(type="turn.started")) == []
    assert transcript.reconnecting == ""


def test_commands_that_the_sandbox_refused_are_calls(transcript: Transcript) -> None:
    """Each has an id of its own, its output and its exit code."""
    for number in (1, 2):
        started, finished = transcript.refused("rm x", 7, "no")
        assert started.tool_started.tool_call_id == f"1.refused_{number}"
        assert started.tool_started.target == "rm x"
        assert (finished.tool_finished.ok, finished.tool_finished.result) == (False, "exit code 7\nno")


def test_changes_are_shown_by_either_path(transcript: Transcript) -> None:
    """The patch of a file is its input; without one, the kind of change and the path are."""
    transcript.patches = {"/srv/tree/a": "text of a", "b": "text of b"}
    changes = [{"path": f"/srv/tree/{name}", "kind": "update"} for name in "abc"]
    events = transcript.line(item("started", "file_change", changes=changes))
    assert [event.tool_started.input for event in events] == ["text of a", "text of b", "update c"]
    assert {event.tool_started.kind for event in events} == {pb.TOOL_KIND_EDIT}


def test_answers_of_servers(transcript: Transcript) -> None:
    """An error is the result; an absent result is empty; parts of a text are lines."""
    call = {"server": "s", "tool": "t"}
    told = []
    answers: list[dict[str, Any]] = [
        {"error": {"message": "no such tool"}, "status": "failed"},
        {"result": None},
        {"result": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
    ]
    for number, fields in enumerate(answers):
        started, finished = transcript.line(
            item("completed", "mcp_tool_call", f"i{number}", **call, **fields)
        )
        assert started.tool_started.input == ""
        told.append((finished.tool_finished.ok, finished.tool_finished.result))
    assert told == [(False, "no such tool"), (True, ""), (True, "a\nb")]


def test_words_are_told_once_they_are_complete(transcript: Transcript) -> None:
    """Text and thoughts come whole."""
    assert transcript.line(item("started", "agent_message", text="He")) == []
    (text,) = transcript.line(item("completed", "agent_message", text="Hello"))
    (thought,) = transcript.line(item("completed", "reasoning", text="Hm"))
    assert text.message == pb.Message(kind=pb.MESSAGE_KIND_TEXT, text="Hello", last=True)
    assert thought.message == pb.Message(kind=pb.MESSAGE_KIND_THINKING, text="Hm", last=True)
    assert transcript.line(b" \n") == []


def test_ids_have_the_prefix_of_their_session() -> None:
    """Sessions of one attempt number their items from the start again."""
    resumed = Transcript(WORKTREE, "m", lambda: 0.0, prefix="b")
    resumed.begin_turn()
    search = resumed.line(item("started", "web_search", query="x"))
    assert tools(search) == [("b1.item_0", "WebSearch", "x")]
