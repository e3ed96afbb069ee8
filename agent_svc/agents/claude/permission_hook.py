"""Lets Claude use a tool only if Heddle's policy permits it, whatever Claude's own settings say."""

from typing import Any

from claude_agent_sdk import (
    HookContext,
    HookJSONOutput,
    PermissionResult,
    PermissionResultAllow,
    PermissionResultDeny,
    PreToolUseHookInput,
    ToolPermissionContext,
)

from agent_svc.agents.base.host import Host
from agent_svc.agents.base.permission_gate import Permission, permit
from agent_svc.agents.claude.messages.tool_calls import tool_call
from agent_svc.text import whole_characters


class Guard:
    """Decides each call once. Claude's own rules may still deny a call that is permitted here."""

    def __init__(self, host: Host) -> None:
        self._host = host
        # By tool_use_id.
        self._decided: dict[str, Permission] = {}

    async def before_tool(self, told: Any, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
        """Handles Claude's PreToolUse hook, which, unlike a permission request, runs for every call."""
        # Registered only for PreToolUse.
        asked: PreToolUseHookInput = told
        permission = await self._decide(asked["tool_use_id"], asked["tool_name"], asked["tool_input"])
        return {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "allow" if permission.allowed else "deny",
                "permissionDecisionReason": permission.reason,
            }
        }

    async def on_request(
        self, tool: str, told: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResult:
        """Answers Claude's additional requests, for example for files that Claude considers sensitive."""
        permission = await self._decide(context.tool_use_id or "", tool, told)
        if permission.allowed:
            return PermissionResultAllow()
        return PermissionResultDeny(message=permission.reason)

    async def _decide(self, call_id: str, tool: str, told: dict[str, Any]) -> Permission:
        if call_id not in self._decided:
            call = tool_call(self._host.worktree, call_id, tool, whole_characters(told))
            self._decided[call_id] = await permit(self._host, call)
        return self._decided[call_id]
