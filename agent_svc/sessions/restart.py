"""Starts an agent that was killed again within its session, so that it resumes what it did. Pure."""

from collections.abc import Sequence
from typing import Final

from agent_svc.agents.base.driver import Launch, Translator
from agent_svc.log.earlier_messages import with_earlier_messages
from agent_svc.processes.supervised import Exit
from heddle import pb

# How often in one session. What is killed more often is likely what kills it.
MOST: Final = 2


def may_resume(ended: Exit, launch: Launch, translator: Translator) -> bool:
    """Says whether a signal, or the loss of its supervisor, cut off an agent that can resume its session.

    One that used too much memory, or has said itself how it ended, is not cut off.
    """
    cut_off = (ended.lost or ended.signal is not None) and translator.finished is None
    return cut_off and launch.controlled and bool(translator.agent_session_id)


def again(request: pb.StartSessionRequest, said: Sequence[str], *, spent: int) -> pb.StartSessionRequest:
    """Returns what the agent is asked then.

    `said` is all that the operator said so far, oldest first; `spent` are the micros that
    the session has cost so far, which are no longer in its budget.
    """
    resumed = pb.StartSessionRequest()
    resumed.CopyFrom(with_earlier_messages(request, said))
    resumed.files_kept = True
    if resumed.HasField("budget_usd_micros"):
        resumed.budget_usd_micros = max(0, resumed.budget_usd_micros - spent)
    return resumed
