"""Decides whether a tool call is allowed: by the policy or, if the policy says so, by asking the operator."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from agent_svc.agents.base.host import Host
from agent_svc.agents.base.permissions import Decision, Verdict, decide
from agent_svc.agents.base.protocol import UNANSWERED
from agent_svc.agents.base.tool_vocabulary import ToolCall
from heddle import pb

# Seconds that a question waits if the plan does not set a limit.
DEFAULT_WAIT: Final = 30 * 60.0

# The verdict about a call of several files is the strictest of those about each.
_STRICTNESS: Final = (Verdict.DENY, Verdict.ASK, Verdict.ALLOW)


class Permission(NamedTuple):
    """Whether a call is allowed, and the reason for the agent to read."""

    allowed: bool
    reason: str
    # The operator's comment. Empty: none, or the operator was not asked.
    words: str = ""


def judged(policy: pb.Permissions, call: ToolCall, readable: Iterable[Path]) -> tuple[ToolCall, Decision]:
    """Returns the policy's decision about a call, and the part of the call that it is about. Pure.

    `readable` are the folders outside of the worktree that may be read like the worktree.
    """
    folders = tuple(readable)
    decisions = []
    for part in call.split():
        foreign = any(not _within(path, folders) for path in part.looks_at)
        reads = part.reads and not foreign
        decision = decide(policy, part.names, part.target, writes_inside=part.writes_inside, reads=reads)
        decisions.append((part, decision))
    return min(decisions, key=lambda each: _STRICTNESS.index(each[1].verdict))


def _within(path: str, folders: Iterable[Path]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


async def permit(host: Host, call: ToolCall, question: str = "") -> Permission:
    """Returns whether `call` is allowed; waits for the operator if the policy says to ask.

    `question` is the agent's own question; if empty, a question is built from the call.
    """
    policy = host.session.permissions
    call, decision = judged(policy, call, host.readable)
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
