"""The real Claude Code in a test: a scratch home, and a scripted model in place of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.agents import Agents, agents
from tests.support.models.anthropic import AnthropicModel, anthropic_model
from tests.support.models.turns import Answer
from tests.support.programs import need_package


def environment(folder: Path, url: str) -> dict[str, str]:
    """Returns what Claude needs to be told: another home, another model, a fast end of tries."""
    home = folder / "claude-home"
    home.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "scripted",
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }


class Claude:
    """A worker with a worktree, and a model that plays `model`."""

    def __init__(self, worker: Agents, model: AnthropicModel, folder: Path) -> None:
        self.worker = worker
        self.model = model
        self.environment = environment(folder, model.url)


@asynccontextmanager
async def claude(folder: Path, answers: Sequence[Answer] = ()) -> AsyncIterator[Claude]:
    """Serves a worker and a model; skips the test where Claude is not installed."""
    need_package("claude_agent_sdk")
    async with anthropic_model(answers) as model, agents(folder) as worker:
        yield Claude(worker, model, folder)
