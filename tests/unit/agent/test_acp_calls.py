from pathlib import Path
from typing import Any

import pytest
from acp.schema import ToolCallProgress, ToolCallStart

from agent_svc.agents.acp.tool_calls import Call
from heddle import pb

WORKTREE = Path("/w")


def call(**said: Any) -> Call:
    """Returns a call with these fields, which have the protocol's names."""
    learned = Call("1")
    learned.learn(
        ToolCallStart.model_validate({"toolCallId": "1", "title": "", **said, "sessionUpdate": "tool_call"})
    )
    return learned


def text(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": each}} for each in texts]


def diff(path: str, old: str | None, new: str) -> list[dict[str, Any]]:
    return [{"type": "diff", "path": path, "oldText": old, "newText": new}]


@pytest.mark.parametrize(
    ("said", "name", "target", "kind"),
    [
        ({"kind": "execute", "rawInput": {"command": "ls"}}, "Bash", "ls", pb.TOOL_KIND_COMMAND),
        ({"kind": "execute", "rawInput": {"command": ["bash", "-lc", "ls | wc"]}}, "Bash", "ls | wc", None),
        ({"kind": "execute", "rawInput": {"command": ["git", "log", "a b"]}}, "Bash", "git log 'a b'", None),
        ({"kind": "execute", "title": "`make test`"}, "Bash", "make test", None),
        ({"kind": "read", "locations": [{"path": "/w/src/a.py"}]}, "Read", "src/a.py", pb.TOOL_KIND_READ),
        ({"kind": "read", "rawInput": {"filePath": "/etc/hosts"}}, "Read", "/etc/hosts", None),
        ({"kind": "edit", "content": diff("/w/a", None, "x")}, "Write", "a", pb.TOOL_KIND_EDIT),
        ({"kind": "edit", "content": diff("/w/a", "x", "y")}, "Edit", "a", pb.TOOL_KIND_EDIT),
        ({"kind": "edit", "rawInput": {"file_path": "a"}}, "Edit", "a", None),
        ({"kind": "edit", "rawInput": {"filePath": "/w/a", "content": "x"}}, "Write", "a", None),
        ({"kind": "delete", "locations": [{"path": "/w/a"}]}, "Delete", "a", pb.TOOL_KIND_EDIT),
        ({"kind": "search", "rawInput": {"pattern": "x+"}}, "Grep", "x+", pb.TOOL_KIND_SEARCH),
        (
            {"kind": "fetch", "rawInput": {"url": "https://x/"}},
            "WebFetch",
            "https://x/",
            pb.TOOL_KIND_NETWORK,
        ),
        ({"kind": "other", "title": "browser_click"}, "browser_click", "", pb.TOOL_KIND_OTHER),
        ({"title": "", "rawInput": [1]}, "Tool", "", pb.TOOL_KIND_OTHER),
        (
            {"kind": "search", "title": "Find `*.py`", "_meta": {"claudeCode": {"toolName": "Glob"}}},
            "Glob",
            "Find `*.py`",
            None,
        ),
    ],
)
def test_calls_have_the_usual_names(
    said: dict[str, Any], name: str, target: str, kind: "pb.ToolKind.ValueType | None"
) -> None:
    """A call has the usual name of its tool, and the file or command that it uses."""
    learned = call(**said)
    described = learned.described(WORKTREE)
    assert (described.name, described.target) == (name, target)
    assert kind is None or described.kind == kind


def test_later_words_complete_earlier_ones() -> None:
    """A call that begins without its input is shown once the input is known."""
    learned = call(kind="execute", title="bash", rawInput={"cwd": "/w"}, locations=[{"path": "/w"}])
    assert not learned.known()
    learned.learn(
        ToolCallProgress.model_validate(
            {"toolCallId": "1", "rawInput": {"command": "ls"}, "sessionUpdate": "tool_call_update"}
        )
    )
    assert learned.known()
    assert learned.described(WORKTREE).target == "ls"


def test_input_is_for_people() -> None:
    """A new file is shown whole, a changed file as a diff, a command unchanged, other input as JSON."""
    assert call(kind="edit", content=diff("/w/a", None, "new\n")).described(WORKTREE).input == "new\n"
    assert call(kind="edit", rawInput={"content": "new\n"}).described(WORKTREE).input == "new\n"
    changed = call(kind="edit", content=diff("/w/a", "same\nold\n", "same\nnew\n")).described(WORKTREE).input
    assert changed.splitlines()[0] == "--- a"
    assert changed.splitlines()[-3:] == [" same", "-old", "+new"]
    assert call(kind="execute", rawInput={"command": "ls"}).described(WORKTREE).input == "ls"
    assert call(rawInput={"a": "ü"}).described(WORKTREE).input == '{\n  "a": "ü"\n}'


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ({"content": text("one", "two")}, "one\ntwo"),
        ({"content": text("```console\nls: no\n```")}, "ls: no"),
        ({"content": text("```\na\n```\nand\n```\nb\n```")}, "```\na\n```\nand\n```\nb\n```"),
        ({"rawOutput": {"output": "out", "metadata": {}}}, "out"),
        ({"rawOutput": "plain"}, "plain"),
        ({"rawOutput": {"code": 1}}, '{\n  "code": 1\n}'),
        ({"content": diff("/w/a", None, "x")}, ""),
    ],
)
def test_result_is_for_people(said: dict[str, Any], result: str) -> None:
    """The result is the text of the answer without a fence around it, or else the output of the tool."""
    assert call(**said, status="completed").result() == result


@pytest.mark.parametrize("other", ["/etc/passwd", "/w/.git/config"])
def test_the_delicate_file_counts(other: str) -> None:
    """A call with many files is judged by a file outside of the worktree or one that git obeys."""
    files = [*diff("/w/a", "x", "y"), *diff(other, "x", "y")]
    learned = call(kind="edit", rawInput={"file_path": "/w/a"}, content=files, locations=[{"path": "/w/b"}])
    described = learned.described(WORKTREE)
    assert described.target == other.removeprefix("/w/")
    assert not described.writes_inside
    assert call(kind="edit", rawInput={"file_path": "/w/a"}).described(WORKTREE).writes_inside


def test_pictures_are_named_and_not_spelled_out() -> None:
    """Base64 data in a result is replaced by its type and size."""
    image = {"type": "image", "mimeType": "image/png", "data": "QUJD" * 4}
    shown = call(content=[{"type": "content", "content": image}], rawOutput=[image])
    assert shown.result() == "[image]"
    raw = call(rawOutput=[image])
    assert "QUJD" not in raw.result()
    assert "12 bytes" in raw.result()


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({}, False),
        ({"status": "in_progress"}, True),
        ({"rawInput": {"a": 1}}, True),
        ({"locations": [{"path": "/w/a"}]}, True),
        ({"content": diff("/w/a", "x", "y")}, True),
        ({"content": text("x")}, False),
        ({"kind": "execute"}, False),
        ({"kind": "execute", "rawInput": {"description": "x"}}, False),
        ({"kind": "execute", "rawInput": {"command": "ls"}}, True),
    ],
)
def test_a_pending_call_is_shown_once_its_input_is_known(said: dict[str, Any], *, known: bool) -> None:
    """Any input, place or diff is enough, except that a command must be known; a call that runs is shown anyway."""
    assert call(**said).known() is known


def test_the_parts_of_a_result_are_told_apart() -> None:
    """Terminals and pictures are found among the other parts of a result."""
    picture = {"type": "content", "content": {"type": "image", "data": "aGk=", "mimeType": "image/png"}}
    made = call(content=[*text("x"), picture, {"type": "terminal", "terminalId": "t1"}])
    assert made.terminals() == ["t1"]
    assert [block.data for block in made.pictures()] == ["aGk="]


@pytest.mark.parametrize(
    ("kind", "name", "shown"),
    [
        ("move", "Move", pb.TOOL_KIND_EDIT),
        ("think", "Think", pb.TOOL_KIND_OTHER),
        ("switch_mode", "SwitchMode", pb.TOOL_KIND_OTHER),
    ],
)
def test_kinds_without_a_target(kind: str, name: str, shown: int) -> None:
    """Each kind of the protocol has a name and a kind in Heddle's vocabulary."""
    described = call(kind=kind, title="x").described(WORKTREE)
    assert (described.name, described.kind) == (name, shown)


def test_a_call_of_several_files_shows_the_most_delicate() -> None:
    """A file outside the worktree or one that git obeys comes first, otherwise the first one."""

    def target(*paths: str) -> str:
        return call(kind="read", locations=[{"path": path} for path in paths]).described(WORKTREE).target

    assert target("/w/a", "/w/b") == "a"
    assert target("/w/a", "/etc/hosts", "/w/b") == "/etc/hosts"
    assert target("/w/a", "/w/.git/config") == ".git/config"


def test_the_parent_of_a_call_is_kept() -> None:
    """Later reports of a sub-agent's call may omit the call that started the sub-agent."""
    made = call(rawInput={"a": 1}, _meta={"claudeCode": {"parentToolUseId": "p"}})
    made.learn(ToolCallProgress.model_validate({"toolCallId": "1", "sessionUpdate": "tool_call_update"}))
    assert made.described(WORKTREE).parent == "p"


def test_an_edit_of_several_files_is_a_write_only_if_all_are_new() -> None:
    """One changed file among new ones makes the call an edit."""
    both = [*diff("/w/a", None, "x"), *diff("/w/b", "x", "y")]
    assert call(kind="edit", content=both).described(WORKTREE).name == "Edit"
