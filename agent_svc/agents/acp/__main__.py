"""Drives any agent that speaks the Agent Client Protocol: `python -m agent_svc.agents.acp`."""

import asyncio
import logging
import os
import sys
from typing import Final, cast

from heddle.imports import without_collections

with without_collections():
    # The protocol's library takes most of a second of processor time, and collections a fifth of that.
    import acp
    from acp import connect_to_agent

    from agent_svc.agents.acp.client import Client
    from agent_svc.agents.acp.failures import CutOffError
    from agent_svc.agents.acp.presets import Agent, find
    from agent_svc.agents.acp.project_config import Adjustment, Repository
    from agent_svc.agents.acp.session import Session, Stopped
    from agent_svc.agents.acp.wire import Wire, exited, start
    from agent_svc.agents.base.host import AgentFailedError, Host, end_all, run_host
    from agent_svc.agents.base.revival import KilledError, revived
    from agent_svc.processes.process_table import descendants
    from heddle import pb

# Seconds that an agent has to exit after its work is done, and again after SIGTERM.
ENDING: Final = 2.0


async def drive(host: Host) -> None:
    """Has the agent do the session's work; raises AgentFailedError."""
    agent = find(host.session.agent)
    await revived(host, lambda resume: _hold(host, agent, resume))


async def _hold(host: Host, agent: Agent, resume: str) -> None:
    """Starts the agent, has it do the session's work, and ends it."""

    def stray(text: str) -> None:
        host.emit(pb.Event(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=text)))

    environment = {**agent.defaults, **os.environ, **agent.environment}
    granted = frozenset(host.session.permissions.project_config)
    repository = Repository(granted, host.worktree, environment)
    added = agent.project(repository) if agent.project else Adjustment()
    if added.refusal:
        raise AgentFailedError(added.refusal)
    try:
        wire = await start(
            (*agent.command, *added.arguments), host.worktree, {**environment, **added.environment}, stray
        )
    except OSError as error:
        raise AgentFailedError(
            f"{agent.command[0]} could not be started: {error.strerror}; {agent.install}"
        ) from error
    client = Client(host, names_tools=agent.claude)
    # The library's Client has optional parts, which an agent uses only if offered. We do not offer them.
    connection = connect_to_agent(cast("acp.Client", client), wire)
    session = Session(host, agent, client, connection, resume)
    try:
        await session.open()
        await session.work()
    except Stopped:
        pass
    except CutOffError as error:
        raise KilledError(str(error), session.memory) from error
    except ConnectionError as error:
        if not host.stopping.is_set():
            killed, reason = await _why_gone(agent.name, wire)
            if killed and session.memory:
                raise KilledError(reason, session.memory) from error
            raise AgentFailedError(reason) from error
    finally:
        # The remaining processes may outlive the agent, and the service would wait for them again.
        left = descendants(os.getpid()) if session.leaves else []
        await wire.end(ENDING)
        await end_all(left)
        await connection.close()


async def _why_gone(name: str, wire: Wire) -> tuple[bool, str]:
    """Returns whether a signal ended the agent, and a plain description of how it ended."""
    more = "before its work was done; the session's output says more"
    try:
        code = await asyncio.wait_for(exited(wire.process), ENDING)
    except TimeoutError:
        return False, f"{name} closed its output {more}"
    # A program from npm is often a shell around the real one, and a shell reports a signal in this form.
    number = -code if code < 0 else code - 128
    if number > 0:
        return True, f"{name} was ended by signal {number} {more}"
    return False, f"{name} exited with code {code} {more}"


class OneLine(logging.Formatter):
    """Omits tracebacks: what the protocol's library logs is an error of the agent."""

    def formatException(self, ei: object) -> str:
        return str(ei[1]).partition("\n")[0] if isinstance(ei, tuple) else ""


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    sys.exit(run_host(drive))
