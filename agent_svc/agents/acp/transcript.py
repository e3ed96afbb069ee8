"""Translates the session updates of an ACP agent to events. Pure, except for the clock passed to it."""

from collections.abc import Callable
from pathlib import Path

from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    PlanEntry,
    PromptResponse,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
)

from agent_svc.agents.acp.forwarded_messages import ForwardedMessages
from agent_svc.agents.acp.tool_calls import PARENT, Call, of_claude
from agent_svc.agents.acp.usage import Spending
from agent_svc.agents.base.context_fill import with_context
from agent_svc.agents.base.tool_vocabulary import plan_told
from heddle import pb


class Transcript:
    """Translates session updates to events, in order. `clock` returns seconds."""

    def __init__(self, worktree: Path, clock: Callable[[], float]) -> None:
        self._worktree = worktree
        self._clock = clock
        self.spending = Spending()
        self.forwarded = ForwardedMessages()
        self._speaking: pb.MessageKind.ValueType | None = None
        self._message_id: str | None = None
        # The call that started the sub-agent that speaks. Empty: the agent itself speaks.
        self._speaker = ""
        self._calls: dict[str, Call] = {}
        # By call id: when each reported call that has not ended began.
        self._running: dict[str, float] = {}
        self._plans = 0
        # The used and the total size of the model's context, in tokens. 0: unknown.
        self.context = 0, 0

    def update(self, said: object) -> list[pb.Event]:
        """Returns the events for one session update; empty for an unknown kind."""
        match said:
            case AgentMessageChunk():
                return self._speak(said, pb.MESSAGE_KIND_TEXT)
            case AgentThoughtChunk():
                return self._speak(said, pb.MESSAGE_KIND_THINKING)
            case ToolCallStart() | ToolCallProgress() | ToolCallUpdate():
                return self._call(said)
            case AgentPlanUpdate():
                return [*self._end_message(), *self._plan(said.entries)]
            case UsageUpdate():
                self.context = said.used, said.size
                spent = self.spending.cost(said.cost)
                # Claude's own messages have already reported this cost.
                return [] if self.forwarded.heard else with_context(spent, *self.context)
            case _:
                return []

    def call(self, call_id: str) -> Call:
        """Returns the call with this id, with what is known about it so far."""
        return self._calls.setdefault(call_id, Call(call_id))

    def call_of_terminal(self, terminal_id: str) -> str:
        """Returns the id of the call that shows this terminal; empty if no call does."""
        return next((call.id for call in self._calls.values() if terminal_id in call.terminals()), "")

    def open_calls(self) -> list[str]:
        """Returns a readable description of each call that has not ended."""
        calls = (self.call(call_id).described(self._worktree) for call_id in self._running)
        return [call.target if call.kind == pb.TOOL_KIND_COMMAND else call.label for call in calls]

    def begin(self, call_id: str) -> list[pb.Event]:
        """Returns the start event of a call; empty if it was already reported or the call has ended."""
        call = self.call(call_id)
        if call_id in self._running or call.ended():
            return []
        return self._begin(call)

    def end_turn(self, response: PromptResponse | None) -> list[pb.Event]:
        """Returns the events that close a turn: the end of the message and of open calls, and the tokens.

        `response` is None if the turn failed or was interrupted.
        """
        events = self._end_message()
        for call_id in list(self._running):
            events += self._finish(self.call(call_id), ok=False, result="the turn ended before it did")
        if self.forwarded.heard:
            return [*events, *self.forwarded.rest()]
        tokens = self.spending.tokens(response.usage if response else None)
        return [*events, *with_context(tokens, *self.context)]

    def _speak(
        self, said: AgentMessageChunk | AgentThoughtChunk, kind: "pb.MessageKind.ValueType"
    ) -> list[pb.Event]:
        if not isinstance(said.content, TextContentBlock):
            return []
        speaker = of_claude(said.field_meta, PARENT)
        events = []
        if (kind, said.message_id, speaker) != (self._speaking, self._message_id, self._speaker):
            events = self._end_message()
        self._speaking, self._message_id, self._speaker = kind, said.message_id, speaker
        piece = pb.Message(kind=kind, text=said.content.text, parent_tool_call_id=speaker)
        return [*events, pb.Event(message=piece)]

    def _end_message(self) -> list[pb.Event]:
        kind, self._speaking = self._speaking, None
        if kind is None:
            return []
        return [pb.Event(message=pb.Message(kind=kind, last=True, parent_tool_call_id=self._speaker))]

    def _call(self, said: ToolCallStart | ToolCallProgress | ToolCallUpdate) -> list[pb.Event]:
        call = self.call(said.tool_call_id)
        if call.ended():
            return []
        call.learn(said)
        if not call.known():
            return []
        events = [] if call.id in self._running else self._begin(call)
        if call.ended():
            events += self._finish(call, ok=call.status == "completed", result=call.result())
        return events

    def _begin(self, call: Call) -> list[pb.Event]:
        self._running[call.id] = self._clock()
        return [*self._end_message(), call.described(self._worktree).started()]

    def _finish(self, call: Call, *, ok: bool, result: str) -> list[pb.Event]:
        call.status = "completed" if ok else "failed"
        seconds = self._clock() - self._running.pop(call.id)
        return [call.described(self._worktree).finished(ok=ok, result=result, seconds=seconds)]

    def _plan(self, entries: list[PlanEntry]) -> list[pb.Event]:
        """Returns a plan as a call of the tool that other agents use for their plans."""
        self._plans += 1
        return plan_told(f"plan-{self._plans}", ((entry.content, entry.status) for entry in entries))
