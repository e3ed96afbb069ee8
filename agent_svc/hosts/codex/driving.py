"""A session with codex: a turn for the task, then one for what the operator has said meanwhile."""

import os
import time
from typing import Final

from agent_svc.hosts.codex.failures import plain_reason, sandbox_broken, unreachable
from agent_svc.hosts.codex.home import PATIENCE, CodexHome
from agent_svc.hosts.codex.policy import confine
from agent_svc.hosts.codex.record import Record
from agent_svc.hosts.codex.transcript import Transcript
from agent_svc.hosts.codex.turn import Ended, Turn
from agent_svc.hosts.hosting import AgentFailedError, Host

# Seconds without a connection to the model's API: codex itself would try again for ever.
DEFAULT_PATIENCE: Final = 60.0

# Words of codex where it does not have the session that is to go on.
UNKNOWN_THREAD: Final = "thread/resume"


async def drive(host: Host) -> None:
    """Drives codex to the end of its work; raises AgentFailedError."""
    home = CodexHome(os.environ)
    transcript = Transcript(host.worktree, host.session.model or home.model, time.monotonic)
    _tell_limits(host)
    patience = float(os.environ.get(PATIENCE) or DEFAULT_PATIENCE)
    turn = Turn(host, transcript, Record(home.path), arguments(host, home), patience)
    prompt = host.session.prompt
    if host.resume:
        ended = await turn.run(f"You were interrupted; go on. Your task is:\n\n{prompt}", host.resume)
        if not transcript.thread_id and UNKNOWN_THREAD in ended.last_words:
            host.note(f"codex no longer has its session {host.resume}; it begins anew.")
            ended = await turn.run(prompt)
    else:
        ended = await turn.run(prompt)
    judge(transcript, ended, turn.patience)
    while not host.heard.empty():
        said = [host.heard.get_nowait() for _ in range(host.heard.qsize())]
        judge(transcript, await turn.run("\n\n".join(said), transcript.thread_id), turn.patience)


def arguments(host: Host, home: CodexHome) -> tuple[str, ...]:
    """Returns what every turn of the session tells codex beside its prompt."""
    hidden = ", ".join(f'"{name}"' for name in home.keys)
    model = ("-m", host.session.model) if host.session.model else ()
    return (
        "--json",
        # A worktree that nobody has called trusted is what codex is here for.
        "--skip-git-repo-check",
        # The commands that codex runs need no key of a model's API.
        "-c",
        f"shell_environment_policy.exclude=[{hidden}]",
        *confine(host.session.permissions).arguments,
        *model,
    )


def judge(transcript: Transcript, ended: Ended, patience: float) -> None:
    """Raises AgentFailedError where the turn that has ended failed."""
    if ended.stopped:
        raise AgentFailedError("the session was stopped")
    if transcript.sandbox_trouble:
        raise AgentFailedError(sandbox_broken(transcript.sandbox_trouble))
    if ended.unreachable:
        raise AgentFailedError(unreachable(transcript.reconnecting, patience))
    if transcript.failure or transcript.reconnecting:
        raise AgentFailedError(plain_reason(transcript.failure or transcript.reconnecting))
    if not transcript.completed or ended.code:
        how = f"with code {ended.code}" if ended.code >= 0 else f"by signal {-ended.code}"
        words = f": {ended.last_words}" if ended.last_words else ""
        raise AgentFailedError(f"codex ended {how} before its turn was over{words}")


def _tell_limits(host: Host) -> None:
    if unkept := confine(host.session.permissions).unkept:
        host.note(
            "codex asks nobody and cannot refuse single calls: only its sandbox holds it."
            f" It does not keep: deny {', '.join(unkept)}"
        )
    if host.session.HasField("max_turns"):
        host.note("codex cannot count its turns: max_turns does not hold it.")
