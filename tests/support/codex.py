"""The real codex in a test: a temporary CODEX_HOME, and a scripted model instead of OpenAI's."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from heddle import pb
from heddle.testing import driver_suite
from heddle.testing.driver_suite import Scenario, Scene
from tests.support.agents import Agents, agents
from tests.support.models.responses import ResponsesModel, responses_model
from tests.support.models.turns import Answer, Call, Failure, Turn
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


class Codex:
    """A worker with a worktree, a model that plays `model`, and a temporary home folder for codex."""

    def __init__(self, worker: Agents, model: ResponsesModel, folder: Path) -> None:
        self.worker = worker
        self.model = model
        program = need_program("codex")
        self._home = folder / "codex-home"
        self._home.mkdir(exist_ok=True)
        self.environment = {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "CODEX_HOME": str(self._home),
            KEY: "scripted",
        }
        self.configure(model.url)

    def configure(self, url: str) -> None:
        """Sends codex to the model at `url`."""
        (self._home / "config.toml").write_text(CONFIG.format(url=url, key=KEY))

    def forget(self) -> None:
        """Makes codex forget its sessions."""
        shutil.rmtree(self._home / "sessions")
        for database in self._home.glob("*.sqlite*"):
            database.unlink()


@asynccontextmanager
async def codex(folder: Path, answers: Sequence[Answer] = (), **environ: str) -> AsyncIterator[Codex]:
    """Serves a worker and a model; skips the test if codex is not installed."""
    need_program("codex")
    async with responses_model(answers) as model, agents(folder, **environ) as worker:
        yield Codex(worker, model, folder)


_ENDLESS = [Turn(driver_suite.WORKING, calls=[Call("Bash", {"command": "while :; do sleep 1; done"})])]
_WRITE = Call("Write", {"file_path": driver_suite.FILE, "content": driver_suite.CONTENT})


def _run(command: str) -> Turn:
    return Turn(calls=[Call("Bash", {"command": command})])


# The model's answers that make codex do what each scenario says.
_ANSWERS: Mapping[Scenario, Sequence[Answer]] = {
    Scenario.TEXT: [Turn(driver_suite.TEXT)],
    Scenario.TOOLS: [Turn(calls=[_WRITE]), _run(driver_suite.COMMAND)],
    Scenario.FAILING_TOOL: [_run("exit 3"), Turn(driver_suite.RECOVERED)],
    Scenario.LONG_OUTPUT: [Turn(driver_suite.LONG_OUTPUT)],
    Scenario.LONG_LINE: [Turn(driver_suite.LONG_LINE)],
    Scenario.OTHER_BYTES: [_run(driver_suite.OTHER_BYTES)],
    Scenario.DENIED: [_run(driver_suite.APPROVED_COMMAND)],
    Scenario.STOP: _ENDLESS,
    Scenario.TIMEOUT: _ENDLESS,
    Scenario.CRASH: _ENDLESS,
    Scenario.UNAUTHORISED: [Failure(401)],
    Scenario.RATE_LIMITED: [Failure(429, headers={"retry-after": "1"})],
    Scenario.OVERLOADED: [Failure(529)],
    Scenario.UNREACHABLE: [],
    Scenario.RESUME: [Turn(driver_suite.TEXT), Turn(driver_suite.TEXT)],
    Scenario.RESUME_UNKNOWN: [Turn(driver_suite.TEXT), Turn(driver_suite.TEXT)],
}


class CodexSubject:
    """Codex, as a subject of the driver suite."""

    unsupported: Mapping[Scenario, str] = dict.fromkeys(
        (Scenario.APPROVAL_GRANTED, Scenario.APPROVAL_DENIED, Scenario.APPROVAL_UNANSWERED),
        "codex exec asks no one; its sandbox limits it",
    )

    @asynccontextmanager
    async def scene(self, scenario: Scenario, folder: Path) -> AsyncIterator[Scene]:
        async with codex(folder, _ANSWERS[scenario]) as it:
            request = pb.StartSessionRequest(
                agent="codex", prompt="Do what the suite says", environment=it.environment
            )
            if scenario is Scenario.DENIED:
                # It cannot refuse single commands.
                request.permissions.deny.append("Bash")
            if scenario is Scenario.UNREACHABLE:
                it.configure("http://127.0.0.1:9/v1")
                request.environment["HEDDLE_CODEX_PATIENCE"] = "0.2"
            yield Scene(
                it.worker.channel,
                it.worker.worktree,
                request,
                went_on=lambda: (
                    driver_suite.TEXT in json.dumps(it.model.requests[-1]["input"], ensure_ascii=False)
                ),
                forget=it.forget,
            )
