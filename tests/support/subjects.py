"""The agents that need no model, as subjects of the driver suite."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from heddle import pb
from heddle.testing import driver_suite
from heddle.testing.driver_suite import Scenario, Scene
from tests.support.agents import Step, agents, seconds

NO_MODEL = dict.fromkeys(
    (
        Scenario.UNAUTHORISED,
        Scenario.RATE_LIMITED,
        Scenario.OVERLOADED,
        Scenario.UNREACHABLE,
        Scenario.RESUME,
        Scenario.RESUME_UNKNOWN,
    ),
    "it has no model",
)


def say(text: str) -> pb.ScriptStep:
    return Step(say=Step.Say(text=text))


def run(command: str) -> pb.ScriptStep:
    return Step(run=Step.RunCommand(command=command))


ENDLESS = [say(driver_suite.WORKING), run("sleep 600")]
ASKING = [Step(ask=Step.Ask(question="May I?")), run(driver_suite.APPROVED_COMMAND)]

SCRIPTS: Mapping[Scenario, list[pb.ScriptStep]] = {
    Scenario.TEXT: [say(driver_suite.TEXT)],
    Scenario.TOOLS: [
        Step(write=Step.WriteFile(path=driver_suite.FILE, text=driver_suite.CONTENT)),
        run(driver_suite.COMMAND),
    ],
    Scenario.FAILING_TOOL: [run("exit 3"), say(driver_suite.RECOVERED)],
    Scenario.LONG_OUTPUT: [say(driver_suite.LONG_OUTPUT)],
    Scenario.OTHER_BYTES: [run(driver_suite.OTHER_BYTES)],
    Scenario.APPROVAL_GRANTED: ASKING,
    Scenario.APPROVAL_DENIED: ASKING,
    Scenario.APPROVAL_UNANSWERED: ASKING,
    Scenario.STOP: ENDLESS,
    Scenario.TIMEOUT: ENDLESS,
    Scenario.CRASH: [say(driver_suite.WORKING), Step(wait=Step.Wait(duration=seconds(600)))],
}


class ScriptedSubject:
    """The scripted agent."""

    unsupported: Mapping[Scenario, str] = {
        **NO_MODEL,
        Scenario.LONG_LINE: "a plan is smaller than 5 MB",
        Scenario.DENIED: "it does what its author wrote",
    }

    @asynccontextmanager
    async def scene(self, scenario: Scenario, folder: Path) -> AsyncIterator[Scene]:
        request = pb.StartSessionRequest(
            agent="scripted", script=SCRIPTS[scenario], environment={"HEDDLE_SCRIPT_SPEED": "0"}
        )
        if scenario is Scenario.APPROVAL_UNANSWERED:
            request.permissions.wait.CopyFrom(seconds(0.5))
        async with agents(folder) as worker:
            yield Scene(worker.channel, worker.worktree, request)


# The shell command of each scenario, and its prompt.
COMMANDS: Mapping[Scenario, tuple[str, str]] = {
    Scenario.TEXT: ("cat", driver_suite.TEXT),
    Scenario.LONG_OUTPUT: ("cat", driver_suite.LONG_OUTPUT),
    Scenario.LONG_LINE: ("printf '0123456789%.0s' $(seq 500000)", ""),
    Scenario.OTHER_BYTES: (driver_suite.OTHER_BYTES, ""),
    Scenario.STOP: (f"echo '{driver_suite.WORKING}'; sleep 600", ""),
    Scenario.TIMEOUT: (f"echo '{driver_suite.WORKING}'; sleep 600", ""),
    Scenario.CRASH: (f"echo '{driver_suite.WORKING}'; sleep 600; exit 1", ""),
}


class CommandSubject:
    """A shell command."""

    unsupported: Mapping[Scenario, str] = {
        **NO_MODEL,
        **dict.fromkeys(
            (
                Scenario.TOOLS,
                Scenario.FAILING_TOOL,
                Scenario.APPROVAL_GRANTED,
                Scenario.APPROVAL_DENIED,
                Scenario.APPROVAL_UNANSWERED,
                Scenario.DENIED,
            ),
            "Heddle does not see the tools of a command",
        ),
    }

    @asynccontextmanager
    async def scene(self, scenario: Scenario, folder: Path) -> AsyncIterator[Scene]:
        command, prompt = COMMANDS[scenario]
        request = pb.StartSessionRequest(agent=f"command:{command}", prompt=prompt)
        async with agents(folder) as worker:
            yield Scene(worker.channel, worker.worktree, request)
