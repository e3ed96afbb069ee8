"""The real codex in a test: a scratch CODEX_HOME, and a scripted model in place of OpenAI's."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.agents import Agents, agents
from tests.support.models.responses import ResponsesModel, responses_model
from tests.support.models.turns import Answer
from tests.support.programs import need_program

KEY = "SCRIPTED_API_KEY"

# A model that codex knows has all of its tools.
CONFIG = """
model = "gpt-5.5"
model_provider = "scripted"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.scripted]
name = "scripted"
base_url = "{url}"
env_key = "{key}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 1
"""


def environment(folder: Path, url: str) -> dict[str, str]:
    """Returns what codex needs to be told: another home, another model."""
    program = need_program("codex")
    home = folder / "codex-home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(CONFIG.format(url=url, key=KEY))
    return {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "CODEX_HOME": str(home),
        KEY: "scripted",
    }


class Codex:
    """A worker with a worktree, and a model that plays `model`."""

    def __init__(self, worker: Agents, model: ResponsesModel, folder: Path) -> None:
        self.worker = worker
        self.model = model
        self.environment = environment(folder, model.url)


@asynccontextmanager
async def codex(folder: Path, answers: Sequence[Answer] = ()) -> AsyncIterator[Codex]:
    """Serves a worker and a model; skips the test where codex is not installed."""
    need_program("codex")
    async with responses_model(answers) as model, agents(folder) as worker:
        yield Codex(worker, model, folder)
