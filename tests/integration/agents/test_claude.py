"""The real Claude Code against a scripted model."""

from pathlib import Path

from heddle import pb
from tests.support.agents import ending, payloads
from tests.support.claude import claude
from tests.support.models.turns import Call, Turn


async def test_work_is_told_as_it_happens(tmp_path: Path) -> None:
    """Thinking, text, tool calls with their results, and usage with its cost come as events."""
    async with claude(tmp_path) as it:
        target = str(it.worker.worktree / "docs" / "a.txt")
        answers = [
            Turn("I will look.", thinking="What is here?", calls=[Call("Bash", {"command": "echo hi; pwd"})]),
            Turn(calls=[Call("Write", {"file_path": target, "content": "one\ntwo\n"})]),
            Turn("All **done**."),
        ]
        it.model.play(answers, "Do it")
        permissions = pb.Permissions(allow=["Bash(*)"])
        events = await it.worker.run("claude", environment=it.environment, permissions=permissions)
    assert ending(events) == ("SUCCEEDED", "")
    said = [(event.message.kind, event.message.text) for event in payloads(events, "message")]
    assert said == [
        (pb.MESSAGE_KIND_THINKING, "What is here?"),
        (pb.MESSAGE_KIND_TEXT, "I will look."),
        (pb.MESSAGE_KIND_TEXT, "All **done**."),
    ]
    started = [event.tool_started for event in payloads(events, "tool_started")]
    assert [(tool.name, tool.target, tool.kind) for tool in started] == [
        ("Bash", "echo hi; pwd", pb.TOOL_KIND_COMMAND),
        ("Write", "docs/a.txt", pb.TOOL_KIND_EDIT),
    ]
    finished = [event.tool_finished for event in payloads(events, "tool_finished")]
    assert [tool.tool_call_id for tool in finished] == [tool.tool_call_id for tool in started]
    assert finished[0].result == f"hi\n{it.worker.worktree}"
    assert (it.worker.worktree / "docs/a.txt").read_text() == "one\ntwo\n"
    usage = [event.usage for event in payloads(events, "usage")]
    assert [(each.input_tokens, each.output_tokens) for each in usage] == [(1000, 100)] * 3
    assert all(each.cost_usd_micros > 0 for each in usage)
