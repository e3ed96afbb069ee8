"""A small agent that speaks the Agent Client Protocol: `python acp_agent.py`, told what to do by its prompt.

A prompt is a list of steps, one a line: a word of ACTS and what it is given. It does
what a real agent can hardly be made to do on demand. A prompt of another form is
answered by its own text. `--auth` makes it want a login, `--load` lets it load
sessions, `--forgetful` lets it load none of them.
"""

import asyncio
import os
import signal
import sys
from typing import Any

import acp
from acp import RequestError
from acp.schema import (
    AgentCapabilities,
    Cost,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    SessionConfigOptionSelect,
    SessionConfigSelectOption,
    SetSessionConfigOptionResponse,
    ToolCallStatus,
    ToolCallUpdate,
    Usage,
    UsageUpdate,
)

SESSION = "session-1"
MODELS = ("small", "large")


class Agent:
    """Plays the steps of its prompts."""

    def __init__(self) -> None:
        self._client: Any = None
        self._cancelled = asyncio.Event()
        self._calls = 0
        self._cost = 0.0

    def on_connect(self, conn: Any) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        loads = "--load" in sys.argv or "--forgetful" in sys.argv
        return InitializeResponse(
            protocol_version=protocol_version, agent_capabilities=AgentCapabilities(load_session=loads)
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        if "--auth" in sys.argv:
            raise RequestError.auth_required()
        return NewSessionResponse(session_id=SESSION, config_options=[model_option("small")])

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        if "--forgetful" in sys.argv:
            raise RequestError.resource_not_found(session_id)
        await self._update(acp.update_agent_message_text("what was said before"))
        return LoadSessionResponse(config_options=[model_option("small")])

    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **_: Any
    ) -> SetSessionConfigOptionResponse:
        if value not in MODELS:
            raise RequestError.invalid_params({"details": f"no {value}"})
        return SetSessionConfigOptionResponse(config_options=[model_option(str(value))])

    async def cancel(self, session_id: str, **_: Any) -> None:
        self._cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        text = prompt[0].text
        for step in text.splitlines():
            word, _, given = step.partition(" ")
            if word not in ACTS:
                await self.say(f"You said: {step}\n")
            elif stop := await getattr(self, word)(given):
                return PromptResponse(stop_reason=stop)
        usage = Usage(total_tokens=30, input_tokens=10, output_tokens=20)
        return PromptResponse(stop_reason="end_turn", usage=usage)

    async def say(self, text: str) -> None:
        await self._update(acp.update_agent_message_text(text))

    async def spend(self, dollars: str) -> None:
        self._cost += float(dollars)
        cost = Cost(amount=self._cost, currency="USD")
        await self._update(UsageUpdate(session_update="usage_update", used=1, size=2, cost=cost))

    async def ask(self, command: str) -> None:
        """Asks whether it may run `command`, and says what it was answered."""
        answer = await self._client.request_permission(
            session_id=SESSION,
            tool_call=ToolCallUpdate(
                tool_call_id=self._call(), title=command, kind="execute", raw_input={"command": command}
            ),
            options=[
                PermissionOption(option_id="yes", name="Allow", kind="allow_once"),
                PermissionOption(option_id="no", name="Reject", kind="reject_once"),
            ],
        )
        await self.say(f"answer: {getattr(answer.outcome, 'option_id', answer.outcome.outcome)}\n")

    async def write(self, path: str) -> None:
        try:
            await self._client.write_text_file(session_id=SESSION, path=path, content="from the agent\n")
            await self.say(f"wrote {path}\n")
        except RequestError as error:
            await self.say(f"refused: {error}\n")

    async def read(self, path: str) -> None:
        try:
            answer = await self._client.read_text_file(session_id=SESSION, path=path, line=2, limit=1)
            await self.say(f"read: {answer.content}")
        except RequestError as error:
            await self.say(f"refused: {error}\n")

    async def run(self, command: str) -> None:
        """Runs `command` in a terminal of the client's, as a tool call."""
        call = self._call()
        try:
            made = await self._client.create_terminal(
                session_id=SESSION, command=command, output_byte_limit=100
            )
        except RequestError as error:
            await self.say(f"refused: {error}\n")
            return
        shown = [acp.tool_terminal_ref(made.terminal_id)]
        await self._update(
            acp.start_tool_call(call, command, kind="execute", content=shown, raw_input={"command": command})
        )
        ended = await self._client.wait_for_terminal_exit(session_id=SESSION, terminal_id=made.terminal_id)
        output = await self._client.terminal_output(session_id=SESSION, terminal_id=made.terminal_id)
        await self._client.release_terminal(session_id=SESSION, terminal_id=made.terminal_id)
        status: ToolCallStatus = "failed" if ended.exit_code else "completed"
        await self._update(acp.update_tool_call(call, status=status, raw_output=output.output))

    async def picture(self, data: str) -> None:
        content = [acp.tool_content(acp.image_block(data, "image/png"))]
        await self._update(
            acp.start_tool_call(self._call(), "Screenshot", status="completed", content=content)
        )

    async def hang(self, _: str) -> str:
        """Works until it is cancelled; the signal that ends a session reaches it first."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await self.say("hanging\n")
        await self._cancelled.wait()
        await self.say("cancelled\n")
        return "cancelled"

    async def wedge(self, _: str) -> None:
        """Hears no cancel and no end of its input."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await self.say("wedged\n")
        await asyncio.get_running_loop().create_future()

    async def stop(self, reason: str) -> str:
        return reason

    async def fail(self, message: str) -> None:
        raise RequestError(-32603, message)

    async def crash(self, code: str) -> None:
        os._exit(int(code))

    async def mutter(self, text: str) -> None:
        """Writes what is no message to its standard output, some of it no text at all."""
        sys.stdout.buffer.write(text.encode() + b" \xff\xfe\n[1, 2]\n")
        sys.stdout.buffer.flush()

    async def flood(self, size: str) -> None:
        await self.say("x" * int(size))

    async def invent(self, _: str) -> None:
        """Sends an update that is not of this protocol."""
        await self._client._conn.send_notification(
            "session/update", {"sessionId": SESSION, "update": {"sessionUpdate": "news"}}
        )

    async def environment(self, name: str) -> None:
        await self.say(f"{name}={os.environ.get(name)}\n")

    def _call(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

    async def _update(self, update: Any) -> None:
        await self._client.session_update(session_id=SESSION, update=update)


ACTS = frozenset(
    [
        "say",
        "spend",
        "ask",
        "write",
        "read",
        "run",
        "picture",
        "hang",
        "wedge",
        "stop",
        "fail",
        "crash",
        "mutter",
        "flood",
        "invent",
        "environment",
    ]
)


def model_option(current: str) -> SessionConfigOptionSelect:
    return SessionConfigOptionSelect(
        id="model",
        name="Model",
        type="select",
        current_value=current,
        options=[SessionConfigSelectOption(value=model, name=model) for model in MODELS],
    )


if __name__ == "__main__":
    agent: Any = Agent()
    asyncio.run(acp.run_agent(agent))
