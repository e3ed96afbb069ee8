"""Runs a session with codex: a turn for the task, then turns for the operator's messages."""

import os
import time
from collections.abc import Sequence
from typing import Final

from agent_svc.agents.base import provider_failures
from agent_svc.agents.base.host import AgentFailedError, Host, ProviderError, resume_prompt
from agent_svc.agents.codex import project_config, server_log
from agent_svc.agents.codex.failures import (
    cause_of,
    plain_reason,
    sandbox_broken,
    status_of,
    unreachable,
)
from agent_svc.agents.codex.home import PATIENCE, CodexHome
from agent_svc.agents.codex.policy import confine
from agent_svc.agents.codex.project_config import toml
from agent_svc.agents.codex.session_record import Record
from agent_svc.agents.codex.transcript import Transcript
from agent_svc.agents.codex.turn import Ended, ListeningEnd, Turn
from agent_svc.processes.signals import signal_name
from heddle import pb
from heddle.timing.clock import utc_now

# Seconds that codex may be without a connection to the model's API. codex itself would retry forever.
DEFAULT_PATIENCE: Final = 60.0

# The text in codex's error if it does not have the session to resume.
UNKNOWN_THREAD: Final = "thread/resume"

# The prompt about commands that still ran when the turn ended. It is sent once.
CUT_OFF: Final = """\
These commands still ran in the background when you ended your turn, and were stopped with it:

{commands}

Where the task needs what they do, run them again and wait for their end. Where it does not, as for a server, just end."""

# How many times a killed codex is restarted within one turn.
RESTARTS: Final = 2


async def drive(host: Host) -> None:
    """Runs codex until its work is done; raises AgentFailedError if it fails."""
    home = CodexHome(os.environ)
    transcript = Transcript(host.worktree, host.session.model or home.model, time.monotonic, host.prefix)
    _tell_limits(host)
    patience = float(os.environ.get(PATIENCE) or DEFAULT_PATIENCE)
    turn = Turn(host, transcript, Record(home.path), arguments(host, home), patience)
    ended = await _first(host, transcript, turn)
    judge(transcript, ended, patience)
    if stopped := transcript.cut_off:
        # codex exits at the end of its turn, and its background commands end with it.
        host.tell_stopped(stopped)
        ended = await _whole(host, transcript, turn, cut_off_words(stopped), transcript.thread_id)
        judge(transcript, ended, patience)
    while not await host.may_end():
        said = [host.heard.get_nowait() for _ in range(host.heard.qsize())]
        ended = await _whole(host, transcript, turn, "\n\n".join(said), transcript.thread_id)
        judge(transcript, ended, patience)


async def _first(host: Host, transcript: Transcript, turn: Turn) -> Ended:
    """Runs the turn for the task; resumes the earlier session if codex still has it."""
    prompt = host.session.prompt
    if not host.resume:
        return await _whole(host, transcript, turn, prompt)
    ended = await _whole(host, transcript, turn, prompt, host.resume, resumes=True)
    if transcript.thread_id or UNKNOWN_THREAD not in ended.last_words:
        return ended
    host.note(f"codex no longer has its session {host.resume}; a new one starts.")
    return await _whole(host, transcript, turn, prompt)


async def _whole(
    host: Host,
    transcript: Transcript,
    turn: Turn,
    prompt: str,
    thread_id: str = "",
    *,
    resumes: bool = False,
) -> Ended:
    """Runs a turn; restarts and resumes a killed codex up to RESTARTS times.

    `resumes`: an earlier codex has already begun to work on `prompt`.
    """
    ended = await turn.run(resume_prompt(host.session, prompt) if resumes else prompt, thread_id)
    for _ in range(RESTARTS):
        if not ended.crashed or not transcript.thread_id:
            break
        host.note(
            f"codex was ended by {signal_name(-ended.code)}; it is started again and resumes its session."
        )
        host.session.files_kept = True
        ended = await turn.run(resume_prompt(host.session, prompt), transcript.thread_id)
    return ended


def cut_off_words(commands: Sequence[str]) -> str:
    """Returns the prompt about the commands that were stopped at the end of a turn."""
    return CUT_OFF.format(commands="\n".join(f"- {command}" for command in commands))


def arguments(host: Host, home: CodexHome) -> tuple[str, ...]:
    """Returns the arguments for every turn of the session, without the prompt."""
    granted = frozenset(host.session.permissions.project_config)
    hidden = ", ".join(f'"{name}"' for name in (*home.keys, server_log.VARIABLE))
    model = ("-m", host.session.model) if host.session.model else ()
    return (
        "--json",
        # codex must work in a worktree that no user has marked as trusted.
        "--skip-git-repo-check",
        # The commands that codex runs do not need the keys of a model's API, nor codex's own log level.
        "-c",
        f"shell_environment_policy.exclude=[{hidden}]",
        *server_log.command_arguments(os.environ),
        # Otherwise codex writes its skills to CODEX_HOME at each start, which a sandbox may refuse.
        "-c",
        "skills.bundled.enabled=false",
        *confine(host.session.permissions).arguments,
        *project_config.arguments(home, host.worktree, granted),
        *option_arguments(host.session, project_config.instructions(home, host.worktree, granted)),
        *model,
    )


def option_arguments(session: pb.StartSessionRequest, instructions: str = "") -> list[str]:
    """Returns the plan's options as settings of config.toml. `instructions` are those of the repository."""
    settings: dict[str, object] = {}
    if added := "\n\n".join(filter(None, (session.system_prompt, instructions))):
        settings["developer_instructions"] = added
    if session.effort:
        # The highest effort that codex supports is xhigh.
        settings["model_reasoning_effort"] = "xhigh" if session.effort == "max" else session.effort
    for server in session.mcp_servers:
        place = f"mcp_servers.{server.name}"
        if server.url:
            settings[f"{place}.url"] = server.url
            settings[f"{place}.http_headers"] = dict(server.headers)
        else:
            settings[f"{place}.command"] = server.command
            settings[f"{place}.args"] = list(server.args)
            settings[f"{place}.env"] = dict(server.env)
    return [word for key, value in settings.items() for word in ("-c", f"{key}={toml(value)}")]


def judge(transcript: Transcript, ended: Ended, patience: float) -> None:
    """Raises AgentFailedError if the ended turn failed."""
    if ended.end is ListeningEnd.STOPPED:
        raise AgentFailedError("the session was stopped")
    if transcript.sandbox_trouble:
        raise AgentFailedError(sandbox_broken(transcript.sandbox_trouble))
    if ended.end is ListeningEnd.NO_CONNECTION:
        raise ProviderError(unreachable(transcript.reconnecting, patience), pb.OUTCOME_PROVIDER_UNAVAILABLE)
    if words := transcript.failure or transcript.reconnecting:
        cause = cause_of(words)
        # codex reports times of day in the machine's time zone.
        retry_at = provider_failures.reset_time(cause, utc_now().astimezone())
        raise provider_failures.failure(plain_reason(words), status_of(cause), cause, retry_at=retry_at)
    if not transcript.completed or ended.code:
        how = f"with code {ended.code}" if ended.code >= 0 else f"by {signal_name(-ended.code)}"
        words = f": {ended.last_words}" if ended.last_words else ""
        raise AgentFailedError(f"codex ended {how} before its turn was over{words}")


def _tell_limits(host: Host) -> None:
    if unkept := confine(host.session.permissions).unkept:
        host.note(
            "codex never asks and cannot refuse single calls: only its sandbox limits it."
            f" It does not keep: deny {', '.join(unkept)}"
        )
    if host.session.HasField("max_turns"):
        host.note("codex cannot count its turns: max_turns does not hold it.")
