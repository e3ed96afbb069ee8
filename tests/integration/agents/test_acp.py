"""A real ACP agent, Claude Code with its adapter, against a scripted model."""

import json
import time
from pathlib import Path

from heddle import pb
from tests.support.acp_adapter import AGENT, adapter
from tests.support.agents import ending, output, payloads
from tests.support.models.turns import Call, Turn, used_up_subscription


async def test_a_hook_of_the_repository_that_blocks_the_prompt_is_a_failure(tmp_path: Path) -> None:
    """A prompt blocked by a repository's hook fails the session, because the model used no tokens."""
    async with adapter(tmp_path) as it:
        settings = it.worker.worktree / ".claude" / "settings.json"
        settings.parent.mkdir()
        hook = {"type": "command", "command": f"echo '{json.dumps({'decision': 'block', 'reason': 'no'})}'"}
        settings.write_text(json.dumps({"hooks": {"UserPromptSubmit": [{"hooks": [hook]}]}}))
        hooks = pb.Permissions(project_config=["hooks"])
        events = await it.worker.run(AGENT, environment=it.environment, permissions=hooks)
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "without an answer of its model" in reason


async def test_work_is_told_as_it_happens(tmp_path: Path) -> None:
    """Thinking, text, tool calls with their results, and usage with its cost are reported as events."""
    async with adapter(tmp_path) as it:
        target = it.worker.worktree / "docs" / "a.txt"
        answers = [
            Turn("I will look.", thinking="What is here?", calls=[Call("Bash", {"command": "echo hi"})]),
            Turn(calls=[Call("Bash", {"command": "cat /no/such/file"})]),
            Turn(calls=[Call("Write", {"file_path": str(target), "content": "one\n"})]),
            Turn("All **done**."),
        ]
        it.model.play(answers, "Do it")
        permissions = pb.Permissions(allow=["Bash(*)"])
        events = await it.worker.run(AGENT, environment=it.environment, permissions=permissions)
    assert ending(events) == ("SUCCEEDED", "")
    assert spoken(events, pb.MESSAGE_KIND_THINKING) == "What is here?"
    assert spoken(events, pb.MESSAGE_KIND_TEXT) == "I will look.All **done**."
    started = [event.tool_started for event in payloads(events, "tool_started")]
    assert [(tool.name, tool.target, tool.input) for tool in started] == [
        ("Bash", "echo hi", "echo hi"),
        ("Bash", "cat /no/such/file", "cat /no/such/file"),
        ("Write", "docs/a.txt", "one\n"),
    ]
    finished = [event.tool_finished for event in payloads(events, "tool_finished")]
    assert [tool.tool_call_id for tool in finished] == [tool.tool_call_id for tool in started]
    assert [tool.ok for tool in finished] == [True, False, True]
    assert finished[0].result == "hi"
    assert target.read_text() == "one\n"
    usage = [event.usage for event in payloads(events, "usage")]
    assert sum(each.input_tokens for each in usage) == 4000
    assert sum(each.output_tokens for each in usage) == 400
    assert all(each.HasField("cost_usd_micros") for each in usage)
    assert usage[-1].context_window > usage[-1].context_tokens > 0
    assert sum(each.cost_usd_micros for each in usage) > 0


async def test_the_operator_decides(tmp_path: Path) -> None:
    """A command that the operator denies does not run, and the agent receives the reason in its next turn."""
    answers = [Turn(calls=[Call("Bash", {"command": "touch deployed"})]), Turn("A pity."), Turn("I see.")]
    async with adapter(tmp_path, answers) as it:
        attempt = await it.worker.start(AGENT, environment=it.environment)
        asked = await it.worker.until(attempt, lambda event: event.HasField("approval_requested"))
        question = asked.approval_requested
        assert (question.tool, question.target) == ("Bash", "touch deployed")
        await it.worker.answer(attempt, question.approval_id, approved=False, message="not on Fridays")
        events = await it.worker.events(attempt)
        assert not (it.worker.worktree / "deployed").exists()
        assert "not on Fridays" in str(it.model.requests[-1]["messages"][-1])
    assert not payloads(events, "tool_finished")[0].tool_finished.ok
    assert ending(events) == ("SUCCEEDED", "")


async def test_settings_do_not_stand_above_the_plan(tmp_path: Path) -> None:
    """The plan's deny overrides what the user's or the project's own settings allow."""
    answers = [Turn(calls=[Call("Bash", {"command": "touch deployed"})]), Turn("A pity.")]
    async with adapter(tmp_path, answers) as it:
        for folder in (it.worker.worktree / ".claude", Path(it.environment["CLAUDE_CONFIG_DIR"])):
            folder.mkdir()
            (folder / "settings.json").write_text(json.dumps({"permissions": {"allow": ["Bash"]}}))
        permissions = pb.Permissions(default=pb.PERMISSION_DECISION_DENY, project_config=["settings"])
        events = await it.worker.run(AGENT, environment=it.environment, permissions=permissions)
        assert not (it.worker.worktree / "deployed").exists()
    assert not payloads(events, "tool_finished")[0].tool_finished.ok


async def test_a_session_goes_on(tmp_path: Path) -> None:
    """A later attempt continues the conversation and does not pay for earlier turns again."""
    async with adapter(tmp_path, [Turn("The password is sesame."), Turn("Done.")]) as it:
        earlier = await it.worker.start(AGENT, environment=it.environment)
        first = await it.worker.events(earlier)
        later = await it.worker.start(AGENT, environment=it.environment, number=2, resume=earlier)
        second = await it.worker.events(later)
        assert "The password is sesame." in str(it.model.requests[-1]["messages"])
    assert spoken(second, pb.MESSAGE_KIND_TEXT) == "Done."
    assert cost(second) == cost(first)


def spoken(events: list[pb.Event], kind: "pb.MessageKind.ValueType") -> str:
    return "".join(event.message.text for event in events if event.message.kind == kind)


def cost(events: list[pb.Event]) -> int:
    return sum(event.usage.cost_usd_micros for event in events)


async def test_waits_for_what_runs_in_the_background(tmp_path: Path) -> None:
    """After its last turn, a session waits for background work, reports it, and gives the agent its outcome."""
    slow = "sleep 2; echo x > late.txt"
    call = Call("Bash", {"command": slow, "description": "slow", "run_in_background": True})
    async with adapter(tmp_path) as it:
        it.model.play([Turn("I begin.", calls=[call]), Turn("I wait."), Turn("Went on.")], "Do it")
        events = await it.worker.run(
            AGENT,
            environment=it.environment,
            permissions=pb.Permissions(allow=["Bash(*)"]),
            background_wait=120,
            checks={"there": "cat late.txt"},
        )
    assert ending(events) == ("SUCCEEDED", "")
    waiting, over = [event.background_work for event in payloads(events, "background_work")]
    assert list(waiting.running) == [slow]
    assert over == pb.BackgroundWork()
    assert "Went on." in "".join(event.message.text for event in events)


async def test_the_limit_of_a_subscription_ends_at_its_time(tmp_path: Path) -> None:
    """A used-up subscription counts as a rate limit of the kind and until the exact time that the API gives."""
    resets_at = int(time.time()) + 3 * 3600
    async with adapter(tmp_path, [used_up_subscription(resets_at)]) as it:
        environment = {**it.environment, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-scripted"}
        del environment["ANTHROPIC_API_KEY"]
        events = await it.worker.run(AGENT, environment=environment)
    outcome, reason = ending(events)
    assert outcome == "RATE_LIMITED"
    assert "Claude's five-hour limit is reached" in reason
    assert output(events, pb.OUTPUT_STREAM_SYSTEM).count("Claude's five-hour limit is reached.") == 1
    assert events[-1].session_finished.retry_time.ToMilliseconds() == resets_at * 1000
