"""The effects of the real Claude Code's tools, and how the plan's permissions apply to them."""

from pathlib import Path
from typing import Any

import pytest

from agent_svc.agents.base.tool_vocabulary import KINDS
from heddle import pb
from tests.support.acp_adapter import adapter
from tests.support.agents import ending, payloads, seconds
from tests.support.claude import claude, environment
from tests.support.models.anthropic import anthropic_model
from tests.support.models.turns import Call, Turn
from tests.support.programs import need_package
from tests.support.real_agents import CLAUDE_KINDS, real_agent

SKILL = "---\nname: sk\ndescription: d\nallowed-tools: Bash(touch:*)\n---\nbody !`touch viaskill`\n"
DELEGATED = "The sub-agent's task"
ASK_AGENT = Call(
    "Agent",
    {
        "description": "part",
        "prompt": DELEGATED,
        "subagent_type": "general-purpose",
        "run_in_background": False,
    },
)


def called(name: str, **told: Any) -> Turn:
    return Turn(calls=[Call(name, told)])


# Only older models get the planning tools.
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-sonnet-5"])
async def test_every_tool_is_classified(model: str, tmp_path: Path) -> None:
    """Every tool that the program offers has a known kind; a new tool fails here first."""
    need_package("claude_agent_sdk")
    from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, SystemMessage  # noqa: PLC0415 (may be missing)

    from agent_svc.agents.claude.options import WITHHELD  # noqa: PLC0415 (imports the SDK)

    async with anthropic_model([Turn("Hello.")]) as answers:
        told = environment(tmp_path, answers.url)
        options = ClaudeAgentOptions(cwd=tmp_path, env=told, model=model, setting_sources=[])
        async with ClaudeSDKClient(options) as client:
            await client.query("Hello")
            offered = [
                message.data["tools"]
                async for message in client.receive_response()
                if isinstance(message, SystemMessage) and message.subtype == "init"
            ]
    assert len(offered[0]) > 15
    assert set(offered[0]) - KINDS.keys() - set(WITHHELD) == set()


@pytest.mark.parametrize("agent", CLAUDE_KINDS)
async def test_deny_holds_for_all_that_runs_commands(agent: str, tmp_path: Path) -> None:
    """`deny: [Bash]` also applies to a monitor, a workflow, a skill's own commands and a sub-agent's calls."""
    workflow = "export const meta = { name: 'w', description: 'w' }\nreturn await agent('x')\n"
    async with real_agent(agent, tmp_path) as it:
        skill = it.worker.worktree / ".claude" / "skills" / "sk" / "SKILL.md"
        skill.parent.mkdir(parents=True)
        skill.write_text(SKILL)
        it.model.play(
            [
                called("ToolSearch", query="select:Monitor", max_results=5),
                called("Bash", command="touch viabash"),
                called("Skill", skill="sk"),
                called("Monitor", description="w", command="touch viamonitor", timeout_ms=5000),
                called("Workflow", script=workflow),
                Turn(calls=[ASK_AGENT]),
                Turn("Done."),
            ],
            "",
        )
        it.model.play([called("Bash", command="touch viaagent"), Turn("Denied.")], f'"{DELEGATED}')
        permissions = pb.Permissions(
            default=pb.PERMISSION_DECISION_ALLOW, deny=["Bash"], project_config=["settings"]
        )
        events = await it.worker.run(agent, environment=it.environment, permissions=permissions)
        made = sorted(path.name for path in it.worker.worktree.glob("via*"))
    assert made == []
    assert ending(events) == ("SUCCEEDED", "")
    assert payloads(events, "approval_requested") == []
    failed = {event.tool_finished.tool_call_id for event in payloads(events, "tool_finished")} - {
        event.tool_finished.tool_call_id
        for event in payloads(events, "tool_finished")
        if event.tool_finished.ok
    }
    told = {event.tool_started.name: event.tool_started for event in payloads(events, "tool_started")}
    assert {told[name].tool_call_id for name in ("Bash", "Monitor", "Workflow")} <= failed


@pytest.mark.parametrize("agent", CLAUDE_KINDS)
async def test_planning_and_delegating_need_no_permission(agent: str, tmp_path: Path) -> None:
    """The agent's tasks become its plan; messages and calls of a sub-agent name the call that started it."""
    async with real_agent(agent, tmp_path) as it:
        it.model.play(
            [
                called("ToolSearch", query="select:TaskCreate,TaskUpdate,TaskList", max_results=5),
                called("TaskCreate", subject="Look", description="d", activeForm="Looking"),
                called("TaskCreate", subject="Write", description="d", activeForm="Writing"),
                called("TaskUpdate", taskId="1", status="completed"),
                called("TaskUpdate", taskId="2", status="in_progress"),
                called("TaskList"),
                Turn(calls=[ASK_AGENT]),
                Turn("Done."),
            ],
            "",
        )
        file = str(it.worker.worktree / "a.txt")
        it.model.play(
            [Turn("I write.", calls=[Call("Write", {"file_path": file, "content": "x"})]), Turn("Written.")],
            f'"{DELEGATED}',
        )
        # Newer models do not get these tools.
        older = {"ANTHROPIC_MODEL": "claude-sonnet-4-5"}
        events = await it.worker.run(agent, environment=it.environment | older)
    assert ending(events) == ("SUCCEEDED", "")
    assert payloads(events, "approval_requested") == []
    started = [event.tool_started for event in payloads(events, "tool_started")]
    plans = [tool.input for tool in started if tool.name == "TodoWrite"]
    assert plans[-1] == "- [x] Look\n- [>] Write"
    (delegated,) = [tool for tool in started if tool.kind == pb.TOOL_KIND_DELEGATE]
    (written,) = [tool for tool in started if tool.name == "Write"]
    assert written.parent_tool_call_id == delegated.tool_call_id
    assert delegated.parent_tool_call_id == ""
    said = {event.message.text: event.message.parent_tool_call_id for event in payloads(events, "message")}
    assert agent != "claude" or said["I write."] == delegated.tool_call_id


@pytest.mark.parametrize("agent", CLAUDE_KINDS)
async def test_reading_outside_of_the_worktree_needs_a_permission(agent: str, tmp_path: Path) -> None:
    """A file of the user is asked for, however its path is written; the plan can allow a folder; toolchains are open."""
    worker = claude if agent == "claude" else adapter
    # A sandbox would hide the files of this test.
    async with worker(tmp_path, HEDDLE_SANDBOX="off") as it:
        home, worktree = Path(it.environment["HOME"]), it.worker.worktree
        for name in ("notes/private.txt", "shared/open.txt", ".cargo/registry/crate.txt"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(f"content of {name}")
        (worktree / "inside.txt").write_text("content of inside.txt")
        (worktree / "link.txt").symlink_to(home / "notes" / "private.txt")
        asked = [str(home / "notes/private.txt"), "~/notes/private.txt", str(worktree / "link.txt")]
        opened = [
            "inside.txt",
            "~/shared/open.txt",
            str(home / ".cargo/registry/crate.txt"),
            "/etc/os-release",
        ]
        reads = [called("Read", file_path=str(worktree / path)) for path in opened[:1]]
        reads += [called("Read", file_path=path) for path in (*opened[1:], *asked)]
        it.model.play([*reads, Turn("Done.")], "")
        permissions = pb.Permissions(allow=["Read(~/shared/**)"], wait=seconds(0.2))
        events = await it.worker.run(agent, environment=it.environment, permissions=permissions)
    assert ending(events) == ("SUCCEEDED", "")
    questions = [event.approval_requested.target for event in payloads(events, "approval_requested")]
    assert questions == [str((home / "notes/private.txt").resolve())] * len(asked)
    results = "\n".join(event.tool_finished.result for event in payloads(events, "tool_finished"))
    for name in ("inside.txt", "shared/open.txt", ".cargo/registry/crate.txt"):
        assert f"content of {name}" in results
    assert "content of notes" not in results
