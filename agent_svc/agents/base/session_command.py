"""Builds the command that opens an agent's own session in a terminal. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent_svc.agents.base.driver import Launch
from heddle import pb


def own_session(command: Sequence[str], session_id: str) -> pb.AgentSession:
    """Returns the session's id and the command that opens it in the worktree; without a `command`, only the id."""
    words = shlex.join([*command, session_id]) if command else ""
    return pb.AgentSession(id=session_id, command=words)


def opened_in(folder: Path, launch: Launch) -> Launch:
    """Returns the launch with a command for people that changes to `folder`, the worktree, first."""
    described = launch.own_session
    if described is None:
        return launch

    def own(session_id: str) -> pb.AgentSession:
        session = described(session_id)
        if session.command:
            session.command = f"cd {shlex.quote(str(folder))} && {session.command}"
        return session

    return replace(launch, own_session=own)
