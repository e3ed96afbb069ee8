import json
from pathlib import Path
from typing import Any

import pytest

from agent_svc.agents.codex.session_record import Record, Refused

THREAD = "01a203ad-7eb6-7293-bea3-dc34e6a19672"
OUTPUT = (
    "Chunk ID: 7aa049\nWall time: 0.0\nProcess exited with code 1\nOriginal token count: 13\nOutput:\nno\n"
)


def called(call: str, command: str) -> dict[str, Any]:
    arguments = json.dumps({"cmd": command})
    fields = {"type": "function_call", "name": "exec_command", "call_id": call, "arguments": arguments}
    return {"type": "response_item", "payload": fields}


def told(call: str) -> dict[str, Any]:
    item = {"type": "CommandExecution", "id": call}
    return {"type": "event_msg", "payload": {"type": "item_completed", "item": item}}


def answered(call: str, output: str = OUTPUT) -> dict[str, Any]:
    fields = {"type": "function_call_output", "call_id": call, "output": output}
    return {"type": "response_item", "payload": fields}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions" / "2026" / "11" / "22"
    folder.mkdir(parents=True)
    return folder / f"rollout-2026-11-22T14-33-51-{THREAD}.jsonl"


def write(path: Path, *lines: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


def test_refused_commands_are_found(path: Path, tmp_path: Path) -> None:
    """A command with a result but without an end item was refused; other commands were already reported."""
    record = Record(tmp_path)
    record.follow(THREAD, skip=False)
    assert record.read() == []
    write(path, {"type": "turn_context", "payload": {"model": "gpt-5.5"}})
    write(path, called("1", "touch .git/x"), answered("1"), called("2", "ls"))
    assert record.read() == [Refused("touch .git/x", 1, "no\n")]
    write(path, told("2"), answered("2"), called("3", "x"), answered("3", "unsupported call"))
    assert record.read() == []
    assert record.model == "gpt-5.5"


def test_what_was_there_is_skipped(path: Path, tmp_path: Path) -> None:
    """A resumed session starts after what an earlier attempt reported, and continues if followed again."""
    write(path, called("1", "a"), answered("1"))
    record = Record(tmp_path)
    record.follow(THREAD, skip=True)
    write(path, called("2", "b"), answered("2"))
    record.follow(THREAD, skip=True)
    assert [found.command for found in record.read()] == ["b"]


def test_half_a_line_waits(path: Path, tmp_path: Path) -> None:
    """A line is read only when it is complete."""
    record = Record(tmp_path)
    record.follow(THREAD, skip=False)
    write(path, called("1", "a"))
    line = json.dumps(answered("1"))
    path.write_text(path.read_text() + line[:20])
    assert record.read() == []
    path.write_text(path.read_text() + line[20:] + "\n")
    assert [found.command for found in record.read()] == ["a"]


def test_other_forms_say_nothing(path: Path, tmp_path: Path) -> None:
    """Lines with another form are ignored, and a missing record is not an error."""
    record = Record(tmp_path)
    assert record.read() == []
    record.follow("unknown", skip=True)
    assert record.read() == []
    path.write_bytes(b'{"type": 1}\n[]\nnot json\n\xff\n{"type": "response_item", "payload": {"type": []}}\n')
    record.follow(THREAD, skip=False)
    assert record.read() == []


def test_usage_is_that_of_the_newest_call(path: Path, tmp_path: Path) -> None:
    """Usage is known after each call, from both kinds of line, even if the turn was interrupted."""

    def counted(tokens: int) -> dict[str, Any]:
        info = {"total_token_usage": {"output_tokens": tokens}}
        return {"type": "event_msg", "payload": {"type": "token_count", "info": info}}

    write(path, counted(3), counted(5))
    record = Record(tmp_path)
    record.follow(THREAD, skip=True)
    assert record.used == {"output_tokens": 5}

    # A separate line comes before the tools run, and token_count repeats it after them.
    used = {"thread_token_usage": {"output_tokens": 9}, "usage": {"output_tokens": 4}}
    write(path, counted(5), {"type": "token_usage_record", "payload": used}, counted(5))
    record = Record(tmp_path)
    record.follow(THREAD, skip=True)
    assert record.used == {"output_tokens": 9}


def test_tells_how_full_the_context_is(path: Path, tmp_path: Path) -> None:
    """The fill comes from the last call and the model's window; a summary is reported once."""
    tokens = {"total_tokens": 1100}
    write(path, {"type": "compacted", "payload": {"message": "before"}})
    record = Record(tmp_path)
    record.follow(THREAD, skip=True)
    started = {"type": "task_started", "model_context_window": 258_400}
    write(path, {"type": "event_msg", "payload": started})
    info = {"total_token_usage": tokens, "last_token_usage": tokens}
    write(path, {"type": "event_msg", "payload": {"type": "token_count", "info": info}})
    record.read()
    assert (record.context, record.window, record.compacted) == (1100, 258_400, False)

    exact = {"usage": {"total_tokens": 7}, "thread_token_usage": {"total_tokens": 1107}}
    write(path, {"type": "token_usage_record", "payload": exact}, {"type": "compacted", "payload": {}})
    record.read()
    assert (record.context, record.compacted) == (7, True)
