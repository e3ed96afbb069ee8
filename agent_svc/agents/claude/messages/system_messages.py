"""Puts Claude Code's system messages into words, received directly or through its ACP adapter. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent_svc.agents.base.mcp_servers import FAILED, LOGIN, not_there

# The subtypes of the messages that a process of Claude Code has begun, and that it has compacted its conversation.
BEGUN: Final = "init"
COMPACTED: Final = "compact_boundary"

# By the status of an MCP server: why its tools are not available.
_NOT_THERE: Final = {"failed": FAILED, "needs-auth": LOGIN}


def servers_not_there(data: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each MCP server that a message of the subtype BEGUN reports as not available."""
    servers = data.get("mcp_servers")
    for server in servers if isinstance(servers, list) else ():
        status = server.get("status") if isinstance(server, dict) else None
        if isinstance(status, str) and status in _NOT_THERE:
            yield not_there(server.get("name"), _NOT_THERE[status])


def compacted(data: Mapping[str, Any]) -> str:
    """Returns the line for a message of the subtype COMPACTED."""
    told = data.get("compact_metadata")
    tokens = told.get("pre_tokens") if isinstance(told, dict) else None
    size = f" of {tokens:,} tokens" if isinstance(tokens, int) else ""
    return f"The conversation{size} had become too long: Claude continues with a summary of it."
