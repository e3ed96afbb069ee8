"""The real Claude Code against a scripted model."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from agent_svc.agents.scripted.picture import draw
from agent_svc.reports.image_header import media_type
from heddle import pb
from tests.support.agents import DEADLINE, AgentProcess, attempt_name, ending, output, payloads
from tests.support.claude import claude, environment
from tests.support.models.anthropic import anthropic_model
from tests.support.models.turns import Call, Failure, Turn, used_up_subscription
from tests.support.programs import need_package


def messages(events: Sequence[pb.Event]) -> list[tuple["pb.MessageKind.ValueType", str]]:
    """Returns kind and text of each message, with its pieces joined."""
    whole: list[tuple[pb.MessageKind.ValueType, str]] = []
    text = ""
    for event in payloads(events, "message"):
        text += event.message.text
        if event.message.last:
            whole.append((event.message.kind, text))
            text = ""
    assert not text
    return whole


async def until_kept(text: str, folder: Path) -> None:
    """Returns once Claude's own log of a session in `folder` contains `text`; fails after the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not any(text in path.read_text() for path in folder.glob("**/projects/*/*.jsonl")):  # noqa: ASYNC110 (another program's file sends no notification)
            await asyncio.sleep(0.05)


async def test_work_is_told_as_it_happens(tmp_path: Path) -> None:
    """Thinking, text, tool calls with their results, and usage with its cost are reported as events."""
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
    assert messages(events) == [
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
    assert usage[-1].context_window > usage[-1].context_tokens > 0


async def test_a_hook_of_the_repository_that_blocks_the_prompt_is_a_failure(tmp_path: Path) -> None:
    """If a hook that the plan permits blocks the prompt, the session fails with the hook's message as its reason."""
    hooks = pb.Permissions(project_config=["hooks"])
    async with claude(tmp_path) as it:
        settings = it.worker.worktree / ".claude" / "settings.json"
        settings.parent.mkdir()
        said = json.dumps({"decision": "block", "reason": "policy says no"})
        hook = {"type": "command", "command": f"echo '{said}'"}
        settings.write_text(json.dumps({"hooks": {"UserPromptSubmit": [{"hooks": [hook]}]}}))
        events = await it.worker.run("claude", environment=it.environment, permissions=hooks)
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert reason.startswith("Claude did not call its model: UserPromptSubmit operation blocked by hook")
    assert "policy says no" in reason
    assert not payloads(events, "usage")


async def test_a_model_that_refuses_is_a_failure(tmp_path: Path) -> None:
    """An answer that ends as a refusal fails the session, even if it contains text."""
    async with claude(tmp_path, [Turn("I", refuses=True)] * 4) as it:
        events = await it.worker.run("claude", environment=it.environment)
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "refuse" in reason.lower() or "Usage Policy" in reason


async def test_a_picture_that_a_tool_returns_is_a_screenshot(tmp_path: Path) -> None:
    """A picture that Claude reads becomes a screenshot, captioned with the tool call."""
    async with claude(tmp_path) as it:
        path = it.worker.worktree / "page.png"
        path.write_bytes(draw("The page"))
        it.model.play([Turn(calls=[Call("Read", {"file_path": str(path)})]), Turn("Seen.")], "Do it")
        events = await it.worker.run("claude", environment=it.environment)
        (found,) = payloads(events, "screenshot")
        assert found.screenshot.caption == "Read page.png"
        kept = await it.worker.fetch(attempt_name(), found.screenshot.artifact)
        assert media_type(kept)
    assert ending(events) == ("SUCCEEDED", "")


async def test_the_projects_settings_grant_nothing(tmp_path: Path) -> None:
    """CLAUDE.md is read, but settings of the project, even if trusted, grant nothing that the plan denies."""
    async with claude(tmp_path) as it:
        worktree = it.worker.worktree
        (worktree / "CLAUDE.md").write_text("The password of the door is swordfish.")
        settings = {"permissions": {"allow": ["Bash(*)"], "defaultMode": "acceptEdits"}}
        (worktree / ".claude").mkdir()
        (worktree / ".claude" / "settings.json").write_text(json.dumps(settings))
        config = Path(it.environment["CLAUDE_CONFIG_DIR"])
        config.mkdir()
        trusted = {"projects": {str(worktree): {"hasTrustDialogAccepted": True}}}
        (config / ".claude.json").write_text(json.dumps(trusted))
        call = Call("Bash", {"command": "touch granted.txt"})
        it.model.play([Turn(calls=[call]), Turn("Well.")], "")
        events = await it.worker.run(
            "claude",
            environment=it.environment,
            permissions=pb.Permissions(default=pb.PERMISSION_DECISION_DENY, project_config=["settings"]),
        )
        assert not (worktree / "granted.txt").exists()
        assert "swordfish" in json.dumps(it.model.requests)
    (finished,) = payloads(events, "tool_finished")
    assert not finished.tool_finished.ok
    assert "the plan's default is to deny" in finished.tool_finished.result
    assert ending(events) == ("SUCCEEDED", "")


async def test_secrets_of_the_service_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claude receives only its own credentials from the service's environment."""
    monkeypatch.setenv("HEDDLE_CANARY", "canary-5f3a")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-the-service")
    async with claude(tmp_path, [Turn(calls=[Call("Bash", {"command": "env"})]), Turn("Done.")]) as it:
        del it.environment["ANTHROPIC_API_KEY"]
        events = await it.worker.run(
            "claude", environment=it.environment, permissions=pb.Permissions(allow=["Bash(env)"])
        )
        assert {headers["x-api-key"] for headers in it.model.headers} == {"key-of-the-service"}
        assert "canary-5f3a" not in json.dumps(it.model.requests)
    (finished,) = payloads(events, "tool_finished")
    assert "TMPDIR=" in finished.tool_finished.result
    assert "canary-5f3a" not in finished.tool_finished.result
    assert ending(events) == ("SUCCEEDED", "")


async def test_waits_a_rate_limit_out(tmp_path: Path) -> None:
    """A temporary 429 is reported, and the session continues without intervention."""
    limited = Failure(429, headers={"retry-after": "1"})
    async with claude(tmp_path, [limited, Turn("Done.")]) as it:
        events = await it.worker.run("claude", environment=it.environment)
    assert "The API answered 429 (rate_limit)" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    assert ending(events) == ("SUCCEEDED", "")


async def test_a_lasting_rate_limit_is_told_apart(tmp_path: Path) -> None:
    """A lasting 429 ends the session as rate-limited, with the delay that the API asks for."""
    limited = Failure(429, headers={"retry-after": "2"})
    async with claude(tmp_path, [limited]) as it:
        events = await it.worker.run("claude", environment=it.environment)
    finished = events[-1].session_finished
    assert finished.outcome == pb.OUTCOME_RATE_LIMITED
    assert finished.retry_after.ToTimedelta().total_seconds() == pytest.approx(2, abs=1)


async def test_the_limit_of_a_subscription_ends_at_its_time(tmp_path: Path) -> None:
    """A used-up subscription counts as a rate limit until the exact time that the API gives."""
    resets_at = int(time.time()) + 3 * 3600
    async with claude(tmp_path, [used_up_subscription(resets_at)]) as it:
        environment = {**it.environment, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-scripted"}
        del environment["ANTHROPIC_API_KEY"]
        events = await it.worker.run("claude", environment=environment)
    assert ending(events)[0] == "RATE_LIMITED"
    assert events[-1].session_finished.retry_time.seconds == resets_at


@pytest.mark.parametrize(
    ("failure", "ended", "reason"),
    [
        (Failure(400, "Your credit balance is too low"), "OUT_OF_CREDIT", "the account has no credit left"),
        (Failure(500, "broken"), "PROVIDER_UNAVAILABLE", "the API failed (500)"),
        (Failure(529, "Overloaded"), "RATE_LIMITED", "the API is overloaded (529)"),
    ],
)
async def test_failures_of_the_provider_are_told_apart(
    tmp_path: Path, failure: Failure, ended: str, reason: str
) -> None:
    """The outcome names the cause, and sets no retry time that applies only to Claude's own retries."""
    async with claude(tmp_path, [failure]) as it:
        events = await it.worker.run("claude", environment=it.environment)
    outcome, why = ending(events)
    assert outcome == ended
    assert reason in why
    assert not events[-1].session_finished.HasField("retry_after")


async def test_stops_by_itself_at_its_budget(tmp_path: Path) -> None:
    """Claude receives the session's budget, and ends within the turn that reaches it."""
    answers = [Turn(calls=[Call("Bash", {"command": "true"})])] * 5
    async with claude(tmp_path, answers) as it:
        events = await it.worker.run(
            "claude",
            environment=it.environment,
            permissions=pb.Permissions(allow=["Bash(true)"]),
            model="claude-haiku-4-5",
            budget=1,
        )
        assert len(it.model.requests) == 1
    assert events[-1].session_finished.outcome == pb.OUTCOME_OVER_BUDGET
    assert sum(each.usage.cost_usd_micros for each in payloads(events, "usage")) >= 1


async def test_takes_no_more_turns_than_the_plan_allows(tmp_path: Path) -> None:
    """The plan's model and max_turns reach Claude; beyond the limit the session fails with that reason."""
    answers = [Turn(calls=[Call("Bash", {"command": "true"})])] * 5
    async with claude(tmp_path, answers) as it:
        events = await it.worker.run(
            "claude",
            environment=it.environment,
            permissions=pb.Permissions(allow=["Bash(true)"]),
            model="claude-haiku-4-5",
            max_turns=2,
        )
        assert [request["model"] for request in it.model.requests] == ["claude-haiku-4-5"] * 2
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "max_turns" in reason


async def test_asks_before_it_writes_what_agents_obey(tmp_path: Path) -> None:
    """A write to Claude's own settings asks the operator once, and happens after approval."""
    async with claude(tmp_path) as it:
        path = it.worker.worktree / ".claude" / "settings.json"
        write = Call("Write", {"file_path": str(path), "content": "{}"})
        it.model.play([Turn(calls=[write]), Turn("Done.")], "")
        attempt = await it.worker.start("claude", environment=it.environment)
        asked = await it.worker.until(attempt, lambda event: event.HasField("approval_requested"))
        assert (asked.approval_requested.tool, asked.approval_requested.target) == (
            "Write",
            ".claude/settings.json",
        )
        await it.worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
        events = await it.worker.events(attempt)
        assert path.read_text() == "{}"
    assert len(payloads(events, "approval_requested")) == 1


async def test_an_answer_can_hold_for_the_rest_of_the_session(tmp_path: Path) -> None:
    """After "always" the same command needs no question, another one does, and a denied one stays denied."""
    commands = ("touch one", "touch one", "touch two", "git push")
    turns = [Turn(calls=[Call("Bash", {"command": each})]) for each in commands]
    async with claude(tmp_path, [*turns, Turn("Done.")]) as it:
        attempt = await it.worker.start(
            "claude", environment=it.environment, permissions=pb.Permissions(deny=["Bash(git push:*)"])
        )
        for command, always in (("touch one", "Bash(touch one)"), ("touch two", "")):
            asked = await it.worker.until(attempt, partial(asks_about, command))
            answer = pb.AnswerApprovalRequest(
                attempt=attempt, epoch=1, approval_id=asked.approval_requested.approval_id, approved=True
            )
            if always:
                answer.scope, answer.rule = pb.APPROVAL_SCOPE_SESSION, always
            await it.worker.stub.AnswerApproval(answer)
        events = await it.worker.events(attempt)
    asked_about = [each.approval_requested.target for each in payloads(events, "approval_requested")]
    assert asked_about == ["touch one", "touch two"]
    assert [each.tool_finished.ok for each in payloads(events, "tool_finished")] == [True, True, True, False]
    assert payloads(events, "approval_resolved")[0].approval_resolved.rule == "Bash(touch one)"


def asks_about(target: str, event: pb.Event) -> bool:
    return event.approval_requested.target == target


async def test_a_resumed_session_costs_what_it_adds(tmp_path: Path) -> None:
    """A resumed session does not count the earlier session's usage again."""
    async with claude(tmp_path, [Turn("One."), Turn("Two.")]) as it:
        first = await it.worker.start("claude", environment=it.environment)
        (before,) = payloads(await it.worker.events(first), "usage")
        events = await it.worker.run("claude", number=2, environment=it.environment, resume=first)
        assert "One." in json.dumps(it.model.requests[-1]["messages"])
    (after,) = payloads(events, "usage")
    assert (after.usage.input_tokens, after.usage.cost_usd_micros) == (1000, before.usage.cost_usd_micros)


async def test_goes_on_after_the_service_was_killed(tmp_path: Path) -> None:
    """The agent's own session can be resumed after the agent service was killed during it."""
    need_package("claude_agent_sdk")
    endless = Turn("Working.", calls=[Call("Bash", {"command": "while :; do sleep 1; done"})])
    async with anthropic_model([endless, Turn("Went on.")]) as model:
        told = environment(tmp_path, model.url)
        allowed = pb.Permissions(allow=["Bash(*)"])
        worker = AgentProcess(tmp_path)
        async with worker.serving() as agents:
            first = await agents.start("claude", environment=told, permissions=allowed)
            await agents.until(first, lambda event: event.HasField("tool_started"))
            assert worker.process is not None
            worker.process.kill()
        async with worker.serving() as agents:
            assert ending(await agents.events(first))[0] == "LOST"
            events = await agents.run("claude", number=2, environment=told, permissions=allowed, resume=first)
        assert "Working." in json.dumps(model.requests[-1]["messages"])
    assert ending(events) == ("SUCCEEDED", "")
    assert messages(events)[-1] == (pb.MESSAGE_KIND_TEXT, "Went on.")


async def test_a_killed_claude_is_started_again(tmp_path: Path) -> None:
    """A killed Claude is restarted and resumes its session, and the log says so."""
    endless = Turn("Working.", calls=[Call("Bash", {"command": "while :; do sleep 1; done"})])
    async with claude(tmp_path, [endless, Turn("Went on.")]) as it:
        attempt = await it.worker.start(
            "claude", environment=it.environment, permissions=pb.Permissions(allow=["Bash(*)"])
        )
        started = await it.worker.until(attempt, lambda event: event.HasField("session_started"))
        await it.worker.until(attempt, lambda event: event.HasField("usage"))
        await until_kept("Working.", tmp_path)
        (program,) = psutil.Process(started.session_started.process_id).children()
        program.kill()
        events = await it.worker.events(attempt)
        assert "Working." in json.dumps(it.model.requests[-1]["messages"])
    assert "was killed (SIGKILL)" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    assert messages(events)[-1] == (pb.MESSAGE_KIND_TEXT, "Went on.")
    assert sum(event.usage.input_tokens for event in payloads(events, "usage")) == 2000
    assert ending(events) == ("SUCCEEDED", "")


async def test_a_killed_host_is_started_again(tmp_path: Path) -> None:
    """A killed host resumes within the same attempt, with its files, up to a limit; the log says so."""
    endless = Turn("Working.", calls=[Call("Bash", {"command": "echo x > x.txt; while :; do sleep 1; done"})])
    async with claude(tmp_path, [endless, Turn("Went on.")]) as it:
        attempt = await it.worker.start(
            "claude",
            environment=it.environment,
            permissions=pb.Permissions(allow=["Bash(*)"]),
            checks={"there": "cat x.txt"},
        )
        started = await it.worker.until(attempt, lambda event: event.HasField("session_started"))
        own = await it.worker.until(attempt, lambda event: event.HasField("agent_session"))
        await it.worker.until(attempt, lambda event: event.HasField("usage"))
        await it.worker.tell(attempt, "Use tabs")
        await until_kept("Working.", tmp_path)
        async with asyncio.timeout(DEADLINE):
            while not (it.worker.worktree / "x.txt").exists():  # noqa: ASYNC110 (a command sends no notification)
                await asyncio.sleep(0.05)
        psutil.Process(started.session_started.process_id).kill()
        events = await it.worker.events(attempt)
        asked = json.dumps(it.model.requests[-1]["messages"])
    assert ending(events) == ("SUCCEEDED", "")
    assert "Working." in asked
    assert "Your files are as you left them." in asked
    assert "Use tabs" in asked
    assert "started again and resumes its session" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    assert messages(events)[-1] == (pb.MESSAGE_KIND_TEXT, "Went on.")
    command = own.agent_session.command
    assert command == f"cd {it.worker.worktree} && claude --resume {own.agent_session.id}"


async def test_hears_the_operator_amid_its_work(tmp_path: Path) -> None:
    """A message of the operator reaches Claude before its session ends, and is in the log."""
    until_told = Call("Bash", {"command": "until [ -e told ]; do sleep 0.1; done"})
    async with claude(
        tmp_path, [Turn("Working.", calls=[until_told]), Turn("Tabs it is."), Turn("Done.")]
    ) as it:
        attempt = await it.worker.start(
            "claude", environment=it.environment, permissions=pb.Permissions(allow=["Bash(*)"])
        )
        await it.worker.until(attempt, lambda event: event.HasField("tool_started"))
        await it.worker.tell(attempt, "Use tabs")
        (it.worker.worktree / "told").touch()
        events = await it.worker.events(attempt)
        assert "Use tabs" in json.dumps(it.model.requests[-1]["messages"])
    assert (pb.MESSAGE_KIND_OPERATOR, "Use tabs") in messages(events)
    assert ending(events) == ("SUCCEEDED", "")
