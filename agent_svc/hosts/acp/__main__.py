"""Drives any agent that speaks the Agent Client Protocol: `python -m agent_svc.hosts.acp`."""

import asyncio
import logging
import os
import sys
from typing import Final, cast

import acp
from acp import connect_to_agent

from agent_svc.drivers.acp import find
from agent_svc.hosts.acp.client import Client
from agent_svc.hosts.acp.session import Session, Stopped
from agent_svc.hosts.acp.wire import Wire, exited, start
from agent_svc.hosts.hosting import AgentFailedError, Host, run_host
from heddle import pb

# Seconds that an agent has to end by itself once its work is over, and after SIGTERM.
ENDING: Final = 2.0


async def drive(host: Host) -> None:
    """Starts the agent, has it do the session's work, and ends it."""
    agent = find(host.session.agent)

    def stray(text: str) -> None:
        host.emit(pb.Event(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=text)))

    try:
        wire = await start(
            agent.command, host.worktree, {**agent.defaults, **os.environ, **agent.environment}, stray
        )
    except OSError as error:
        raise AgentFailedError(
            f"{agent.command[0]} could not be started: {error.strerror}; {agent.install}"
        ) from error
    client = Client(host)
    # The library's Client has parts that an agent only uses where they are offered, and we do not.
    connection = connect_to_agent(cast("acp.Client", client), wire)
    try:
        session = Session(host, agent, client, connection)
        await session.open()
        await session.work()
    except Stopped:
        pass
    except ConnectionError as error:
        if not host.stopping.is_set():
            raise AgentFailedError(await _why_gone(agent.name, wire)) from error
    finally:
        await wire.end(ENDING)
        await connection.close()


async def _why_gone(name: str, wire: Wire) -> str:
    try:
        code = await asyncio.wait_for(exited(wire.process), ENDING)
    except TimeoutError:
        return f"{name} closed its output before its work was done; the session's output says more"
    how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
    return f"{name} {how} before its work was done; the session's output says more"


class OneLine(logging.Formatter):
    """Leaves tracebacks out: what the protocol's library logs is a mistake of the agent's."""

    def formatException(self, ei: object) -> str:
        return str(ei[1]).partition("\n")[0] if isinstance(ei, tuple) else ""


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    sys.exit(run_host(drive))
