"""Decides whether a tool call is allowed: by the policy or, if the policy says so, by asking the operator."""

from typing import Final, NamedTuple

from agent_svc.agents.base.host import Host
from agent_svc.agents.base.permissions import Verdict, decide
from agent_svc.agents.base.protocol import UNANSWERED
from agent_svc.agents.base.tool_vocabulary import ToolCall

# Seconds that a question waits if the plan does not set a limit.
DEFAULT_WAIT: Final = 30 * 60.0


class Permission(NamedTuple):
    """Whether a call is allowed, and the reason for the agent to read."""

    allowed: bool
    reason: str
    # The operator's comment. Empty: none, or the operator was not asked.
    words: str = ""


async def permit(host: Host, call: ToolCall, question: str = "") -> Permission:
    """Returns whether `call` is allowed; waits for the operator if the policy says to ask.

    `question` is the agent's own question; if empty, a question is built from the call.
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
