"""The words about an MCP server whose tools an agent does not have."""

import shutil
from pathlib import Path
from typing import Final

from heddle import pb

FAILED: Final = "it failed to start"
LOGIN: Final = "it wants a login"


def not_there(name: object, why: str) -> str:
    """Returns the line of the session's log about the server `name`; `why` is FAILED, LOGIN or a text like them."""
    return f"The MCP server {name!r} is not there ({why}): the agent works without its tools."


def without_program(server: pb.McpServer, worktree: Path, search: str) -> str:
    """Returns the line about a server whose program does not exist; empty if it exists, or the server is a URL.

    For agents that do not report it themselves. `search`: the PATH of the agent.
    """
    if server.url:
        return ""
    # A command with a slash is a path, relative to the worktree.
    command = str(worktree / server.command) if "/" in server.command else server.command
    if shutil.which(command, path=server.env.get("PATH") or search):
        return ""
    return not_there(server.name, f"{FAILED}: there is no program {server.command}")
