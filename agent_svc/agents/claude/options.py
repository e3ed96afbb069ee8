"""Builds the options with which Claude Code is started."""

import json
import os
from pathlib import Path
from typing import Any, Final, cast

from claude_agent_sdk import ClaudeAgentOptions, HookMatcher
from claude_agent_sdk.types import SystemPromptPreset

from agent_svc.agents.claude.environment import DEFAULT_RETRIES, QUIET, RETRIES, TELLING
from agent_svc.agents.claude.permission_hook import Guard
from agent_svc.agents.claude.project_config import project_config
from heddle import pb

# The tools that need a person at a terminal, leave the worktree, or outlive the session.
WITHHELD: Final = (
    "AskUserQuestion",
    "EnterPlanMode",
    "ExitPlanMode",
    "EnterWorktree",
    "ExitWorktree",
    "CronCreate",
    "CronDelete",
    "CronList",
    "ScheduleWakeup",
)

# The maximum size of one message: a tool's result may contain a file.
MAX_MESSAGE_BYTES: Final = 64 << 20

# Seconds that a hook may take. The operator's answer has its own limit, `wait`.
HOOK_TIMEOUT: Final = 365 * 24 * 3600.0


def claude_options(session: pb.StartSessionRequest, guard: Guard, resume: str) -> ClaudeAgentOptions:
    """Returns the SDK's options for a session."""
    worktree = Path.cwd()
    project = project_config(session, worktree, os.environ)
    return ClaudeAgentOptions(
        cwd=worktree,
        model=session.model or None,
        max_turns=session.max_turns if session.HasField("max_turns") else None,
        max_budget_usd=_budget(session, resume),
        resume=resume or None,
        system_prompt=SystemPromptPreset(type="preset", preset="claude_code", append=project.prompt),
        # A plan's effort is one of Claude's own values.
        effort=cast("Any", session.effort or None),
        tools=list(session.tools) or None,
        # The plan's own servers take precedence.
        mcp_servers=project.servers | {server.name: mcp_server(server) for server in session.mcp_servers},
        strict_mcp_config=True,
        # Never the user's own settings.
        setting_sources=cast("Any", project.sources),
        add_dirs=list(project.directories),
        include_partial_messages=True,
        # The text is reported below the call that started the sub-agent.
        forward_subagent_text=True,
        settings=json.dumps(project.settings),
        disallowed_tools=list(WITHHELD),
        hooks={
            "PreToolUse": [HookMatcher(hooks=[guard.before_tool], timeout=HOOK_TIMEOUT, on_failure="block")]
        },
        can_use_tool=guard.on_request,
        max_buffer_size=MAX_MESSAGE_BYTES,
        # The prompt is text from a plan. It must not attach files or run commands.
        verbatim_prompts=True,
        env={**QUIET, **TELLING, **project.environment, RETRIES: os.environ.get(RETRIES, DEFAULT_RETRIES)},
    )


def mcp_server(server: pb.McpServer) -> Any:
    """Returns a server of the plan in Claude Code's format."""
    if server.url:
        return {"type": "http", "url": server.url, "headers": dict(server.headers)}
    told = {"command": server.command, "args": list(server.args), "env": dict(server.env)}
    return {"type": "stdio", **told}


def _budget(session: pb.StartSessionRequest, resume: str) -> float | None:
    """Returns the budget in US dollars at which Claude itself stops.

    None for a session without a budget and for a resumed session: Claude would also count
    the earlier cost. The scheduler stops a resumed session.
    """
    if resume or not session.HasField("budget_usd_micros"):
        return None
    return session.budget_usd_micros / 1_000_000
