"""The real Claude Code in a test: a temporary home folder, and a scripted model instead of its own."""

import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from heddle import pb
from heddle.testing import driver_suite
from heddle.testing.driver_suite import Scenario, Scene
from tests.support.agents import Agents, agents, seconds
from tests.support.models.anthropic import AnthropicModel, anthropic_model
from tests.support.models.turns import Answer, Call, Failure, Turn
from tests.support.programs import need_package


def environment(folder: Path, url: str) -> dict[str, str]:
    """Returns Claude's environment: another home folder, another model, few retries."""
    home = folder / "claude-home"
    home.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "scripted",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        # It asks no server but the scripted model.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # A session of a second gains nothing from optimized code, which takes a fifth of its processor time.
        "BUN_JSC_useDFGJIT": "0",
    }


class Claude:
    """A worker with a worktree, and a model that plays `model`."""

    def __init__(self, worker: Agents, model: AnthropicModel, folder: Path) -> None:
        self.worker = worker
        self.model = model
        self.environment = environment(folder, model.url)


@asynccontextmanager
async def claude(folder: Path, answers: Sequence[Answer] = (), **environ: str) -> AsyncIterator[Claude]:
    """Serves a worker with the settings `environ`, and a model; skips the test if Claude is not installed."""
    need_package("claude_agent_sdk")
    async with anthropic_model(answers) as model, agents(folder, **environ) as worker:
        yield Claude(worker, model, folder)


def _run(command: str) -> Turn:
    return Turn(calls=[Call("Bash", {"command": command})])


# The model's answers that make Claude do what each scenario says.
_ENDLESS = [Turn(driver_suite.WORKING, calls=[Call("Bash", {"command": "while :; do sleep 1; done"})])]
_TOUCHING = [_run(driver_suite.APPROVED_COMMAND), Turn("Done.")]
_ANSWERS: Mapping[Scenario, Sequence[Answer]] = {
    Scenario.TEXT: [Turn(driver_suite.TEXT)],
    Scenario.FAILING_TOOL: [_run("exit 3"), Turn(driver_suite.RECOVERED)],
    Scenario.LONG_OUTPUT: [Turn(driver_suite.LONG_OUTPUT)],
    Scenario.LONG_LINE: [Turn(driver_suite.LONG_LINE)],
    Scenario.OTHER_BYTES: [_run(driver_suite.OTHER_BYTES), Turn("Done.")],
    Scenario.APPROVAL_GRANTED: _TOUCHING,
    Scenario.APPROVAL_DENIED: _TOUCHING,
    Scenario.APPROVAL_UNANSWERED: _TOUCHING,
    Scenario.DENIED: _TOUCHING,
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

# Claude asks for no permission unless the scenario says otherwise.
_PERMISSIONS: Mapping[Scenario, pb.Permissions] = {
    Scenario.APPROVAL_GRANTED: pb.Permissions(),
    Scenario.APPROVAL_DENIED: pb.Permissions(),
    Scenario.APPROVAL_UNANSWERED: pb.Permissions(wait=seconds(0.5)),
    Scenario.DENIED: pb.Permissions(allow=["Bash(*)"], deny=["Bash(touch:*)"]),
}


class ClaudeSubject:
    """Claude Code, as a subject of the driver suite."""

    unsupported: Mapping[Scenario, str] = {}

    @asynccontextmanager
    async def scene(self, scenario: Scenario, folder: Path) -> AsyncIterator[Scene]:
        async with claude(folder) as it:
            it.model.play(_answers(scenario, it.worker.worktree), "")
            request = pb.StartSessionRequest(
                agent="claude",
                prompt="Do what the suite says",
                environment=it.environment,
                permissions=_PERMISSIONS.get(scenario, pb.Permissions(allow=["Bash(*)"])),
            )
            if scenario is Scenario.UNREACHABLE:
                request.environment["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
            sessions = Path(it.environment["CLAUDE_CONFIG_DIR"]) / "projects"
            yield Scene(
                it.worker.channel,
                it.worker.worktree,
                request,
                went_on=lambda: (
                    driver_suite.TEXT in json.dumps(it.model.requests[-1]["messages"], ensure_ascii=False)
                ),
                forget=lambda: shutil.rmtree(sessions),
            )


def _answers(scenario: Scenario, worktree: Path) -> Sequence[Answer]:
    if scenario is not Scenario.TOOLS:
        return _ANSWERS[scenario]
    write = {"file_path": str(worktree / driver_suite.FILE), "content": driver_suite.CONTENT}
    return [Turn(calls=[Call("Write", write)]), _run(driver_suite.COMMAND), Turn("Done.")]
