"""A real ACP agent in a test: Claude Code behind its adapter, with a scripted model."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from heddle.testing.driver_suite import Scenario, Scene
from tests.support.claude import Claude, ClaudeSubject, claude
from tests.support.models.turns import Answer
from tests.support.programs import NODE_PROGRAMS, need_package, need_program

AGENT = "acp:claude-agent-acp"


def adapter_environment() -> dict[str, str]:
    """Returns the paths of the adapter and of the Claude Code of claude-agent-sdk, which it uses.

    Skips the test if one of them is not installed.
    """
    need_program("claude-agent-acp")
    need_package("claude_agent_sdk")
    spec = find_spec("claude_agent_sdk")
    assert spec is not None
    assert spec.origin is not None
    return {
        "PATH": f"{NODE_PROGRAMS}:{os.environ['PATH']}",
        "CLAUDE_CODE_EXECUTABLE": str(Path(spec.origin).parent / "_bundled" / "claude"),
    }


@asynccontextmanager
async def adapter(folder: Path, answers: Sequence[Answer] = (), **environ: str) -> AsyncIterator[Claude]:
    """Serves a worker and a model; sessions of AGENT need the yielded environment."""
    added = adapter_environment()
    async with claude(folder, answers, **environ) as it:
        it.environment |= added
        yield it


class AcpSubject:
    """The adapter, as a subject of the driver suite: it behaves like Claude Code."""

    unsupported: Mapping[Scenario, str] = {}

    @asynccontextmanager
    async def scene(self, scenario: Scenario, folder: Path) -> AsyncIterator[Scene]:
        added = adapter_environment()
        async with ClaudeSubject().scene(scenario, folder) as scene:
            scene.request.agent = AGENT
            for name, value in added.items():
                scene.request.environment[name] = value
            yield scene
