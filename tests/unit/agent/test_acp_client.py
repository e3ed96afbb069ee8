"""Our side of the Agent Client Protocol: which permissions it gives."""

import asyncio
import io
from typing import Any

import pytest
from acp.schema import AllowedOutcome, RequestPermissionRequest, SessionNotification

from agent_svc.agents.acp import client as module
from agent_svc.agents.acp.client import Client
from agent_svc.agents.base import protocol
from agent_svc.agents.base.host import Host
from heddle import pb

OPTIONS = [
    {"optionId": "yes", "kind": "allow_once", "name": "Yes"},
    {"optionId": "no", "kind": "reject_once", "name": "No"},
]


class Agent:
    """Claude's adapter, as its messages show it, in a session in which only commands are denied."""

    def __init__(self) -> None:
        permissions = pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW, deny=["Bash"])
        opening = protocol.Opening(pb.StartSessionRequest(permissions=permissions))
        self.outgoing = io.BytesIO()
        self.host = Host(opening, asyncio.StreamReader(), self.outgoing)
        self.client = Client(self.host, names_tools=True)

    async def ask(self, title: str) -> str:
        """Returns the option that is the answer to a request for a permission; empty: it was cancelled."""
        call = {"toolCallId": "1", "title": title, "kind": "other", "rawInput": {"command": "touch x"}}
        asked = RequestPermissionRequest.model_validate(
            {"sessionId": "s", "toolCall": call, "options": OPTIONS}
        )
        outcome = (await self.client.request_permission("s", asked.tool_call, asked.options)).outcome
        return outcome.option_id if isinstance(outcome, AllowedOutcome) else ""

    async def call(self, tool: str) -> None:
        update: dict[str, Any] = {"toolCallId": "1", "title": tool, "kind": "other", "status": "pending"}
        update |= {"sessionUpdate": "tool_call", "_meta": {"claudeCode": {"toolName": tool}}}
        said = SessionNotification.model_validate({"sessionId": "s", "update": update})
        await self.client.session_update("s", said.update)

    def started(self) -> list[str]:
        events = map(protocol.parse_event, self.outgoing.getvalue().splitlines())
        return [event.tool_started.name for event in events if event.HasField("tool_started")]


@pytest.mark.parametrize(("tool", "answer"), [("Monitor", "no"), ("Workflow", "no"), ("WebSearch", "yes")])
async def test_a_request_that_overtakes_its_call_is_judged_by_the_tool(tool: str, answer: str) -> None:
    """A request waits for the name of its tool, without which a denied tool that runs commands would be allowed."""
    agent = Agent()
    asking = asyncio.create_task(agent.ask(tool))
    await asyncio.sleep(0)
    assert agent.started() == []
    await agent.call(tool)
    assert await asking == answer
    assert agent.started() == [tool]


async def test_a_tool_without_a_name_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the name of a tool never arrives, its call is refused, and the log says why."""
    monkeypatch.setattr(module, "NAMING", 0.0)
    agent = Agent()
    assert await agent.ask("Monitor") == "no"
    assert "did not report which tool it uses" in agent.outgoing.getvalue().decode()


async def test_the_end_of_a_session_ends_the_wait_for_a_name() -> None:
    """A request whose session must end is cancelled, not refused."""
    agent = Agent()
    agent.host.stopping.set()
    assert not await agent.ask("Monitor")
