"""Decides whether an agent that was killed is restarted within its session, and with which request. Pure."""

from collections.abc import Sequence
from typing import Final

from agent_svc.agents.base.driver import Launch, Translator
from agent_svc.log.earlier_messages import with_earlier_messages
from agent_svc.processes.supervised import Exit
from heddle import pb

# Maximum restarts in one session. If an agent is killed more often, its own work is the likely cause.
MOST: Final = 2


def may_resume(ended: Exit, launch: Launch, translator: Translator) -> bool:
    """Returns whether a resumable agent was cut off by a signal or the loss of its supervisor.

    An agent that used too much memory, or that reported itself how it ended, was not cut off.
    """
    cut_off = (ended.lost or ended.signal is not None) and translator.finished is None
    return cut_off and launch.controlled and bool(translator.agent_session_id)


def again(request: pb.StartSessionRequest, said: Sequence[str], *, spent: int) -> pb.StartSessionRequest:
    """Returns the request for a restarted agent.

    `said` contains all of the operator's messages so far, oldest first. `spent` is the session's
    cost so far in millionths of a US dollar, which is subtracted from its budget.
    """
    resumed = pb.StartSessionRequest()
    resumed.CopyFrom(with_earlier_messages(request, said))
    resumed.files_kept = True
    if resumed.HasField("budget_usd_micros"):
        resumed.budget_usd_micros = max(0, resumed.budget_usd_micros - spent)
    return resumed
