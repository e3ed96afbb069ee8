"""The plan of an agent that changes one task in each call."""

from typing import Any

import pytest

from agent_svc.agents.claude.messages.plan_tasks import CREATE, UPDATE, Tasks
from heddle import pb


def plan(events: list[pb.Event]) -> list[str]:
    """Returns the lines of the plan that the events report."""
    started, finished = events
    assert (started.tool_started.tool_call_id, finished.tool_finished.tool_call_id) == ("call", "call")
    assert finished.tool_finished.ok
    return started.tool_started.input.splitlines()


def made(tasks: Tasks, subject: str, answer: str) -> list[str]:
    return plan(tasks.take("call", CREATE, {"subject": subject}, answer))


def updated(tasks: Tasks, **told: Any) -> list[str]:
    return plan(tasks.take("call", UPDATE, told, "Updated"))


def test_tasks_are_reported_as_one_plan() -> None:
    """A new task is last and pending; its id is in the answer."""
    tasks = Tasks()
    assert made(tasks, "Read", "Task #7 created successfully: Read") == ["- [ ] Read"]
    assert made(tasks, "Write", "Task #9 created successfully") == ["- [ ] Read", "- [ ] Write"]
    assert updated(tasks, taskId="7", status="completed") == ["- [x] Read", "- [ ] Write"]
    assert updated(tasks, taskId=9, status="in_progress", subject="Edit") == ["- [x] Read", "- [>] Edit"]
    assert updated(tasks, taskId="9") == ["- [x] Read", "- [>] Edit"]
    assert updated(tasks, taskId="7", status="deleted") == ["- [>] Edit"]


def test_an_answer_without_an_id_counts_on() -> None:
    """The first task is 1; a call without a subject makes an empty one."""
    tasks = Tasks()
    made(tasks, "One", "done")
    assert updated(tasks, taskId="1", status="completed") == ["- [x] One"]
    assert plan(tasks.take("call", CREATE, {}, "done")) == ["- [x] One", "- [ ] "]
    assert updated(tasks, taskId="2", subject="Two") == ["- [x] One", "- [ ] Two"]


@pytest.mark.parametrize("told", [{}, {"taskId": "2"}, {"taskId": None}])
def test_an_unknown_task_changes_nothing(told: dict[str, Any]) -> None:
    """The plan is not reported again."""
    tasks = Tasks()
    made(tasks, "One", "Task #1")
    assert tasks.take("call", UPDATE, told, "") == []


def test_which_tools_change_the_plan() -> None:
    """Reading tasks does not."""
    assert [Tasks().changes(name) for name in (CREATE, UPDATE, "TaskList", "TodoWrite")] == [
        True,
        True,
        False,
        False,
    ]
