"""Whether a worker can start an agent that somebody asks for. Pure."""

from collections.abc import Sequence

from heddle import pb
from heddle.errors import HeddleError
from heddle.plan import rules


def check_form(agent: str, programs: Sequence[pb.AgentProgram]) -> None:
    """Raises UNKNOWN_AGENT where no worker could ever start what is named so."""
    if problem := rules.agent_problem(agent):
        raise _unknown(agent, problem, programs)


def check_available(agent: str, needed_by: str, programs: Sequence[pb.AgentProgram]) -> None:
    """Raises UNKNOWN_AGENT where a worker with these programs cannot start `agent`."""
    by_name = {program.name: program for program in programs}
    # "acp:" and "command:" stand for what their agents are called after the colon.
    kind = "".join(agent.partition(":")[:2])
    program = by_name.get(agent) or by_name.get(kind) or pb.AgentProgram(name=kind)
    if not program.available:
        why = f" ({program.detail})" if program.detail else ""
        problem = f"the worker cannot start agent {program.name!r}{why}, which {needed_by} needs"
        raise _unknown(agent, problem, programs)


def _unknown(agent: str, problem: str, programs: Sequence[pb.AgentProgram]) -> HeddleError:
    known = ", ".join(program.name for program in programs if program.available) or "none"
    return HeddleError(pb.ERROR_REASON_UNKNOWN_AGENT, f"{problem}; it can start: {known}", agent=agent)
