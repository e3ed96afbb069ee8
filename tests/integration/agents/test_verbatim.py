"""Text from a plan or the operator reaches every agent verbatim: no part is expanded as a command."""

import json
from pathlib import Path

import pytest

from heddle import pb
from tests.support.agents import ending
from tests.support.models.turns import Call, Turn
from tests.support.real_agents import KINDS, real_agent

CANARY = "canary-8841"
PROMPT = "/login must redirect to /home: see @.env"
# Built-in commands of agents, a command of the project, and one that does not exist.
SAID = ("/compact the logs", "/deploy to @.env", "/clear", "$deploy", "!cat .env", "# Not a memory")


@pytest.mark.parametrize("agent", KINDS)
async def test_nothing_is_expanded(agent: str, tmp_path: Path) -> None:
    """Prompts and messages that look like commands and mentions reach the model as text, and attach no file."""
    async with real_agent(agent, tmp_path) as it:
        worker, model = it.worker, it.model
        (worker.worktree / ".env").write_text(f"TOKEN={CANARY}")
        commands = worker.worktree / ".claude" / "commands"
        commands.mkdir(parents=True)
        (commands / "deploy.md").write_text(f"---\ndescription: d\n---\n{CANARY} $ARGUMENTS")
        wait = Call("Bash", {"command": "until [ -e told ]; do sleep 0.1; done"})
        model.play([Turn("Working.", calls=[wait])], "")
        attempt = await worker.start(
            agent,
            prompt=PROMPT,
            environment=it.environment,
            permissions=pb.Permissions(allow=["Bash(*)"], project_config=["settings"]),
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
