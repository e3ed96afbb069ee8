"""The properties of Agent Client Protocol agents that are the same on every worker."""

from functools import partial
from typing import Final

from agent_svc.agents.claude import kind as claude
from agent_svc.agents.codex import kind as codex
from heddle.agents import OPTIONS, PROJECT_CONFIG, AgentKind

PREFIX: Final = "acp:"

# The protocol reports usage at the end of a turn and does not support a turn limit.
_kind = partial(AgentKind, options=("mcp_servers",), resumes=True, takes_messages=True)
_preset = partial(_kind, driver="agent_svc.agents.acp.driver:AcpDriver")

KINDS: Final = (
    # Claude's adapter forwards each call of the model, and accepts Claude Code's options.
    _preset(
        "acp:claude-agent-acp",
        provider=claude.PROVIDER,
        options=OPTIONS,
        reports_usage_live=True,
        holds_max_turns=True,
        project_config=PROJECT_CONFIG,
    ),
    _preset("acp:gemini", project_config=("settings",), obeyed=(".gemini",)),
    _preset(
        "acp:opencode", project_config=("settings",), obeyed=("opencode.json", "opencode.jsonc", ".opencode")
    ),
    _preset("acp:codex-acp", provider=codex.PROVIDER, project_config=("settings",)),
    _preset("acp:goose"),
    _kind(
        PREFIX,
        driver="agent_svc.agents.acp.driver:AcpCommandDriver",
        argument="a name or a command line",
        form="acp:NAME",
    ),
)
