"""Text from a plan or the operator reaches every agent verbatim: no part is expanded as a command."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from heddle import pb
from tests.support.acp_adapter import AGENT, adapter
from tests.support.agents import Agents, ending
from tests.support.claude import claude
from tests.support.codex import codex
from tests.support.models.endpoint import Endpoint
from tests.support.models.turns import Call, Turn

CANARY = "canary-8841"
PROMPT = "/login must redirect to /home: see @.env"
# Built-in commands of agents, a command of the project, and one that does not exist.
SAID = ("/compact the logs", "/deploy to @.env", "/clear", "$deploy", "!cat .env", "# Not a memory")

Scene: TypeAlias = tuple[Agents, Endpoint, Mapping[str, str]]


@asynccontextmanager
async def scene(agent: str, folder: Path) -> AsyncIterator[Scene]:
    kinds: dict[str, Callable[[Path], AbstractAsyncContextManager[Any]]] = {
        "claude": claude,
        "codex": codex,
        AGENT: adapter,
    }
    async with kinds[agent](folder) as it:
        yield it.worker, it.model, it.environment


@pytest.mark.parametrize("agent", ["claude", "codex", AGENT])
async def test_nothing_is_expanded(agent: str, tmp_path: Path) -> None:
    """Prompts and messages that look like commands and mentions reach the model as text, and attach no file."""
    async with scene(agent, tmp_path) as (worker, model, environment):
        (worker.worktree / ".env").write_text(f"TOKEN={CANARY}")
        commands = worker.worktree / ".claude" / "commands"
        commands.mkdir(parents=True)
        (commands / "deploy.md").write_text(f"---\ndescription: d\n---\n{CANARY} $ARGUMENTS")
        wait = Call("Bash", {"command": "until [ -e told ]; do sleep 0.1; done"})
        model.play([Turn("Working.", calls=[wait])], "")
        attempt = await worker.start(
            agent, prompt=PROMPT, environment=environment, permissions=pb.Permissions(allow=["Bash(*)"])
        )
        await worker.until(attempt, lambda event: event.HasField("tool_started"))
        for text in SAID:
            await worker.tell(attempt, text)
        (worker.worktree / "told").touch()
        events = await worker.events(attempt)
        told = json.dumps(model.requests, ensure_ascii=False)
    assert ending(events) == ("SUCCEEDED", "")
    assert [text for text in (PROMPT, *SAID) if text not in told] == []
    assert CANARY not in told
