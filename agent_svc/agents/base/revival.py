"""Restarts an agent that a signal ended during its work, so that it resumes its session."""

from collections.abc import Awaitable, Callable
from typing import Final

from agent_svc.agents.base.host import AgentFailedError, Host

# How many times a killed agent is restarted within one session.
REVIVALS: Final = 2


class KilledError(Exception):
    """A signal ended an agent that can resume its session; `resume` contains the data to resume it."""

    def __init__(self, reason: str, resume: str) -> None:
        super().__init__(reason)
        self.resume = resume

    def repeated(self, times: int) -> str:
        """Returns the reason why a session fails whose agent ended in this way `times` times."""
        return f"{self}, {times} times"


async def revived(host: Host, hold: Callable[[str], Awaitable[None]]) -> None:
    """Has the agent do the session's work; restarts and resumes a killed agent up to REVIVALS times.

    `hold` runs one process of the agent. It receives the data to resume the session, empty for a new one, and
    raises KilledError.
    """
    resume = host.resume
    for revivals in range(REVIVALS + 1):
        try:
            await hold(resume)
        except KilledError as error:
            if revivals == REVIVALS:
                raise AgentFailedError(error.repeated(revivals + 1)) from error
            resume = error.resume
            host.session.files_kept = True
            host.note(f"{error}; it is started again and resumes its session.")
        else:
            return
