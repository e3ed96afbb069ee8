"""Which options of a plan each kind of agent supports, and which values of them are valid."""

from collections.abc import Iterator
from typing import Final

from heddle import agents, pb
from heddle.errors import Violation
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import at_most, shown

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
MAX_SYSTEM_PROMPT_BYTES: Final = 100_000
MAX_SERVERS: Final = 50
MAX_TOOLS: Final = 200


def unheeded(path: str, task: pb.PlanTask, defaults: pb.TaskDefaults, agent: str) -> Iterator[Violation]:
    """Yields each key that the task or its defaults set and that its agent does not support."""
    kind = agents.find(agent)
    for key in agents.OPTIONS:
        if kind is not None and key in kind.options:
            continue
        where = "" if getattr(task, key) else " (from defaults)" if getattr(defaults, key) else None
        if where is not None:
            able = ", ".join(agents.names_with(key))
            message = f"is not supported by the agent {shown(agent)}{where}; agents that support it: {able}"
            yield Violation(f"{path}.{key}", message)


def violations(path: str, part: pb.TaskDefaults | pb.PlanTask) -> Iterator[Violation]:
    """Yields every error in the four keys of one level."""
    size = len(part.system_prompt.encode())
    if size > MAX_SYSTEM_PROMPT_BYTES:
        yield Violation(f"{path}.system_prompt", f"is {size:,} bytes; {at_most(MAX_SYSTEM_PROMPT_BYTES)}")
    yield from text_rules.no_nul(f"{path}.system_prompt", part.system_prompt)
    if part.effort and part.effort not in EFFORTS:
        yield Violation(f"{path}.effort", f"{shown(part.effort)} is unknown; use {', '.join(EFFORTS)}")
    if len(part.tools) > MAX_TOOLS:
        yield Violation(f"{path}.tools", f"has {len(part.tools):,} tools; {at_most(MAX_TOOLS)}")
    for index, tool in enumerate(part.tools):
        yield from text_rules.required_title(f"{path}.tools[{index}]", tool)
    if len(part.mcp_servers) > MAX_SERVERS:
        yield Violation(
            f"{path}.mcp_servers", f"has {len(part.mcp_servers):,} servers; {at_most(MAX_SERVERS)}"
        )
    first: dict[str, int] = {}
    for index, server in enumerate(part.mcp_servers):
        yield from _server(f"{path}.mcp_servers[{index}]", server)
        place = first.setdefault(server.name, index)
        if place != index:
            yield Violation(
                f"{path}.mcp_servers[{index}].name",
                f"{shown(server.name)} is also the name of {path}.mcp_servers[{place}]",
            )


def _server(path: str, server: pb.McpServer) -> Iterator[Violation]:
    yield from text_rules.key(f"{path}.name", server.name)
    if bool(server.command) == bool(server.url):
        yield Violation(path, "needs either a command or a url")
    if server.url and not server.url.startswith(("http://", "https://")):
        yield Violation(f"{path}.url", f"{shown(server.url)} must start with http:// or https://")
    for text in (server.command, server.url, *server.args, *server.env.values(), *server.headers.values()):
        yield from text_rules.no_nul(path, text)
