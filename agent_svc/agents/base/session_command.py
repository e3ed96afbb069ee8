"""Builds the command that opens an agent's own session in a terminal. Pure."""

import shlex
from collections.abc import Sequence

from heddle import pb


def own_session(request: pb.StartSessionRequest, command: Sequence[str], session_id: str) -> pb.AgentSession:
    """Returns the session's id and the command that opens it; without a `command`, only the id."""
    if not command:
        return pb.AgentSession(id=session_id)
    words = shlex.join([*command, session_id])
    return pb.AgentSession(id=session_id, command=f"cd {shlex.quote(request.worktree_path)} && {words}")
