"""Reads from codex's log which MCP servers are not available: `codex exec --json` omits it.

The lines look like this, on standard error and without colors:

    2026-12-01T08:00:00Z  WARN codex_mcp::rmcp_client: MCP server startup failed server_name="x" error=…
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from agent_svc.agents.base.mcp_servers import FAILED, LOGIN, not_there
from agent_svc.text import clip

# The variable that says what codex logs, and what it logs without it.
VARIABLE: Final = "RUST_LOG"
_USUAL: Final = "error"

_MODULE: Final = "codex_mcp::rmcp_client"
_ASKED: Final = re.compile(rf"\S+ +WARN .*?\b{_MODULE}: (.*)", re.DOTALL)
_NOT_STARTED: Final = re.compile(
    r'MCP server startup failed server_name=("(?:[^"\\]|\\.)*"|\S+) error=(.*)', re.DOTALL
)
# The types of codex's own code, which its messages about a URL contain.
_TYPES: Final = re.compile(r" \[[^\]]*\]")
_MAX_CAUSE_BYTES: Final = 300


def with_server_log(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns codex's environment with a log that also contains the lines that ServerLog reads."""
    return {**environment, VARIABLE: f"{environment.get(VARIABLE) or _USUAL},{_MODULE}=warn"}


def command_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns codex's arguments that give the commands that it runs the log level of `environment`, if any."""
    if VARIABLE not in environment:
        return ()
    return ("-c", f"shell_environment_policy.set.{VARIABLE}={json.dumps(environment[VARIABLE])}")


class ServerLog:
    """Reads the log of all turns of one session; each turn starts the servers again."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def take(self, line: str) -> str | None:
        """Returns what a line says about a server, for people; None if Heddle did not ask codex for the line.

        Empty: the line says nothing new.
        """
        if not (asked := _ASKED.fullmatch(line.strip())):
            return None
        found = _NOT_STARTED.fullmatch(asked[1])
        if not found or (name := found[1].strip('"')) in self._told:
            return ""
        self._told.add(name)
        return not_there(name, _why(found[2]))


def _why(cause: str) -> str:
    if "Auth required" in cause:
        return LOGIN
    return f"{FAILED}: {clip(_TYPES.sub('', cause), _MAX_CAUSE_BYTES)}"
