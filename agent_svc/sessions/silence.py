"""Ends agents that are silent for longer than their task allows."""

from collections.abc import Callable
from dataclasses import dataclass

from agent_svc.log.journal import Journal
from agent_svc.sessions.conversation import Conversation
from agent_svc.sessions.outcome import Ending, half_silent, silent
from agent_svc.text import system
from heddle import pb


@dataclass(frozen=True)
class Silence:
    """Watches one agent for silence, which means neither output nor activity."""

    conversation: Conversation
    spec: pb.StartSessionRequest
    journal: Journal
    # The actor of the reports.
    actor: str
    interrupt: Callable[[Ending], None]

    async def watch(self) -> None:
        """Reports an agent that is silent for half of its limit, and interrupts it at the full limit."""
        limit = self.spec.silence
        if not self.spec.HasField("silence"):
            return
        seconds = limit.ToNanoseconds() / 1e9
        reported = None
        while reported is None or await self.conversation.silence(seconds, since=reported) is None:
            reported = await self.conversation.silence(seconds / 2)
            await self.journal.tell(self.actor, pb.Event(session_silent=half_silent(limit)))
        ending = silent(limit)
        await self.journal.tell(self.actor, system(f"Stopping the session: {ending.reason}.\n"))
        self.interrupt(ending)
