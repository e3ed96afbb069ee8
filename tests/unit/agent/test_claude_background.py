"""Background tasks of Claude's turns, as its messages report them."""

from typing import Any

import pytest

pytest.importorskip("claude_agent_sdk")

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolUseBlock

from agent_svc.agents.claude.background import Background
from agent_svc.agents.claude.messages.background_tasks import OWED, SETTLING
from tests.unit.agent.test_claude import result


def system(subtype: str, **data: Any) -> SystemMessage:
    return SystemMessage(subtype=subtype, data=data)


def background(*tasks: dict[str, str]) -> SystemMessage:
    return system("background_tasks_changed", tasks=list(tasks))


def test_names_tasks_by_their_commands() -> None:
    """A command is named by its text, any other task by Claude's description, even if that is all there is."""
    followed = Background()
    followed.follow(
        AssistantMessage(content=[ToolUseBlock("call-1", "Bash", {"command": "make"})], model="m")
    )
    shell = {"task_id": "b1", "task_type": "local_bash", "description": "Build it"}
    agent = {"task_id": "a1", "task_type": "local_agent", "description": "Look around"}
    followed.follow(background(shell, agent))
    assert followed.names == ["Build it", "Look around"]
    followed.follow(system("task_started", task_id="b1", description="Build it", tool_use_id="call-1"))
    assert followed.names == ["make", "Look around"]
    assert not followed.only_commands
    followed.follow(background(shell))
    assert followed.names == ["make"]
    assert followed.only_commands


def test_says_how_long_to_wait_for_another_turn() -> None:
    """Long if Claude owes a turn, briefly after a background task ended, otherwise not at all."""
    followed = Background()
    assert followed.patience == 0
    followed.follow(system("session_state_changed", state="running"))
    assert followed.patience == OWED
    followed.follow(system("session_state_changed", state="idle"))
    assert followed.patience == 0
    followed.follow(background({"task_id": "a"}))
    followed.follow(background())
    assert followed.patience == SETTLING


def test_a_turn_lasts_to_its_result() -> None:
    """Messages of a sub-agent do not start or end a turn of Claude."""
    followed, seen = Background(), []
    for message in (
        AssistantMessage(content=[], model="m", parent_tool_use_id="call-1"),
        AssistantMessage(content=[], model="m"),
        result("success"),
    ):
        followed.follow(message)
        seen.append(followed.in_turn)
    assert seen == [False, True, False]
