"""Decides one call of a tool: by the policy, and where that says so by asking the operator."""

from typing import Final, NamedTuple

from agent_svc.agents.base.host import UNANSWERED, Host
from agent_svc.agents.base.permissions import Verdict, decide
from agent_svc.agents.base.tool_vocabulary import ToolCall

# Seconds that a question waits where the plan does not say.
DEFAULT_WAIT: Final = 30 * 60.0


class Permission(NamedTuple):
    """Whether the call may happen, and for the agent to read why."""

    allowed: bool
    reason: str
    # The operator's comment. Empty: none, or the operator was not asked.
    words: str = ""


async def permit(host: Host, call: ToolCall, question: str = "") -> Permission:
    """Returns whether `call` may happen; waits for the operator where the policy says to ask.

    `question` is what the agent itself would ask; empty: one is made of the call.
    """
    policy = host.session.permissions
    decision = decide(policy, call.names, call.target, writes_inside=call.writes_inside, reads=call.reads)
    if decision.verdict is not Verdict.ASK:
        return Permission(decision.verdict is Verdict.ALLOW, decision.reason)
    wait = policy.wait.ToNanoseconds() / 1e9 if policy.HasField("wait") else DEFAULT_WAIT
    asked = question or f"May the agent use {call.name}{f' on {call.target}' if call.target else ''}?"
    answer = await host.ask(asked, tool=call.name, target=call.target, wait=wait)
    if answer.message.startswith(UNANSWERED):
        return Permission(answer.approved, answer.message)
    if answer.approved and answer.rule:
        policy.allow.append(answer.rule)
    said = f": {answer.message}" if answer.message else ""
    reason = f"the operator said {'yes' if answer.approved else 'no'}{said}"
    return Permission(answer.approved, reason, answer.message)
