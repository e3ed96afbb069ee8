"""Ends the attempt of a draft: finds the plan in what its agent said, judges it, and records the outcome."""

import asyncio
from functools import partial

from heddle import agents, pb
from heddle.drafts.handover import Handover, handed_over
from heddle.drafts.prompt import round_prompt
from heddle.drafts.request import proposed_agent
from heddle.drafts.verdict import Circumstances, judge
from heddle.errors import HeddleError
from heddle.names import AttemptName
from heddle.samples.example import ready_agents
from scheduler_svc.leader import metrics
from scheduler_svc.leader.term import Term
from scheduler_svc.model.agent_availability import check_available
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.outcomes import draft_outcomes
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.session_log import whole_log
from scheduler_svc.store.rows import drafts


async def hand_over(
    term: Term, attempt: AttemptName, assignment: Assignment, kept: pb.DiscardAttemptResponse
) -> None:
    """Accepts or rejects the plan of a session that has succeeded, and whose changes were discarded."""
    found = await term.read(lambda connection: _handed_over(connection, attempt))
    # The largest plans take a second.
    draft = await asyncio.to_thread(judge, found, _circumstances(term, assignment))
    now = term.now()
    draft.attempt = str(attempt)
    draft.create_time.CopyFrom(timestamp(now))
    end = partial(
        draft_outcomes.hand_over,
        attempt=attempt,
        draft=draft,
        kept=kept,
        should_retry=term.should_retry,
        now=now,
    )
    await term.write("hand_over", end, LOOP, str(attempt.parent.parent.parent), str(attempt))
    metrics.attempt_ended(assignment.spec.agent, pb.OUTCOME_SUCCEEDED)


async def prompt_of_round(term: Term, attempt: AttemptName, spec: pb.PlanTask) -> str | None:
    """Returns the prompt with what is wrong with the last plan; None if no plan was handed over yet."""
    earlier = await term.read(partial(drafts.listed, run=attempt.run))
    if not earlier or not (earlier[-1].problems or earlier[-1].warnings):
        return None
    kind = agents.find(spec.agent)
    return round_prompt(spec.prompt, earlier[-1], remembers=kind is not None and kind.resumes)


def _handed_over(connection: Connection, attempt: AttemptName) -> Handover:
    return handed_over(whole_log(connection, attempt))


def _circumstances(term: Term, assignment: Assignment) -> Circumstances:
    worker = term.workers.get(assignment.worker).state

    def agent_problem(agent: str) -> str:
        try:
            check_available(agent, "the plan", worker.agents)
        except HeddleError as error:
            return error.message
        return ""

    return Circumstances(
        agent_problem=agent_problem,
        proposed_agent=proposed_agent(assignment.spec.agent, ready_agents([worker])),
        slots=max(worker.slots, 1),
        project_checks=bool(assignment.project_file.checks),
    )
