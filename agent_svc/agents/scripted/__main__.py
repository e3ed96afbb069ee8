"""Plays a script like an agent: `python -m agent_svc.agents.scripted`, a host that speaks base/protocol.py."""

import os
import sys
from pathlib import Path

from agent_svc.agents.base import protocol
from agent_svc.agents.scripted.driver import SPEED
from agent_svc.agents.scripted.input_lines import InputLines
from agent_svc.agents.scripted.player import Player, ScriptFailedError
from agent_svc.agents.scripted.rehearsal import rehearsal
from agent_svc.agents.scripted.stage import Stage
from heddle import pb


def main() -> int:
    """Plays the script; returns the exit code, which is 1 if the script fails the session."""
    incoming = InputLines(sys.stdin.fileno())
    stage = Stage(incoming, sys.stdout.buffer, speed=float(os.environ.get(SPEED) or 1))
    request, resume = protocol.parse_opening(incoming.line() or b"")
    stage.greet()
    limited = request.permissions.HasField("wait")
    player = Player(
        stage,
        Path.cwd(),
        attempt=int(request.attempt.rpartition("/")[2]),
        answers=request.answers,
        patience=request.permissions.wait.ToNanoseconds() / 1e9 if limited else None,
    )
    # A resumed session starts at the question where it was paused, or at the first step if its files are lost.
    done = int(resume) if resume and request.files_kept else 0
    try:
        for place, step in enumerate(request.script or rehearsal(request, Path.cwd())):
            if place >= done:
                player.play(step, place)
    except ScriptFailedError as error:
        finished = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=str(error))
        stage.send(pb.Event(session_finished=finished))
        return 1
    stage.close()
    return 0


sys.exit(main())
