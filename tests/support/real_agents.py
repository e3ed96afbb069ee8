"""The real agents, by the name that a plan gives them, each with a worker and a scripted model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.acp_adapter import AGENT as ACP
from tests.support.acp_adapter import adapter
from tests.support.claude import Claude, claude
from tests.support.codex import Codex, codex

# The last one is Claude Code behind its ACP adapter.
KINDS = ("claude", "codex", ACP)
CLAUDE_KINDS = ("claude", ACP)


@asynccontextmanager
async def real_agent(kind: str, folder: Path) -> AsyncIterator[Claude | Codex]:
    """Serves a worker and a model for one of KINDS; skips the test if that agent is not installed."""
    if kind == "codex":
        async with codex(folder) as of_openai:
            yield of_openai
        return
    async with claude(folder) if kind == "claude" else adapter(folder) as of_anthropic:
        yield of_anthropic
