"""Ends the attempt of a draft: finds the plan in what its agent said, judges it, and records the outcome."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from heddle import agents, pb
from heddle.drafts.handover import Handover, handed_over
from heddle.drafts.prompt import round_prompt
from heddle.drafts.request import proposed_agent
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from heddle.samples.example import ready_agents
from scheduler_svc.commands.plans.revised_plans import (
    read_asked,
    read_before,
    read_proposal,
    scope_of,
    text_of,
)
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.sessions.agent_availability import check_available
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.doorbell import attempt_topics
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.outcomes import draft_outcomes
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.session_log import whole_log
from scheduler_svc.store.rows import drafts, plans


async def hand_over(
    term: Term, attempt: AttemptName, assignment: Assignment, kept: pb.DiscardAttemptResponse
) -> None:
    """Accepts or rejects the plan of a session that has succeeded, and whose changes were discarded."""
    found = await term.read(lambda connection: _handed_over(connection, attempt))
    asked = await term.read(partial(read_asked, draft=attempt.run))
    before = await term.read(partial(read_before, asked=asked)) if asked else None
    # The largest plans take a second.
    draft = await asyncio.to_thread(_judging(term, assignment, found, before))
    if asked:
        await _compare(term, asked, draft)
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
    await term.write("hand_over", end, *attempt_topics(attempt))
    metrics.attempt_ended(assignment.spec.agent, pb.OUTCOME_SUCCEEDED)


async def prompt_of_round(term: Term, attempt: AttemptName, spec: pb.PlanTask) -> str | None:
    """Returns the prompt with what is wrong with the last plan; None if no plan was handed over yet."""
    earlier = await term.read(partial(drafts.listed, run=attempt.run))
    if not earlier or not (earlier[-1].problems or earlier[-1].warnings):
        return None
    kind = agents.find(spec.agent)
    current = await term.read(partial(_newer_plan, run=attempt.run, earlier=earlier))
    remembers = kind is not None and kind.resumes
    return round_prompt(spec.prompt, earlier[-1], remembers=remembers, current=current)


def _newer_plan(connection: Connection, run: str, earlier: Sequence[pb.Draft]) -> str:
    """Returns the plan of the run that a draft changes, if it is newer than the one in the first prompt; else empty."""
    asked = drafts.asked(connection, run)
    if asked is None or earlier[-1].revision in {0, asked.revision}:
        return ""
    name = RunName.parse(asked.request.revises.run)
    return text_of(plans.read(connection, name, earlier[-1].revision))


async def _compare(term: Term, asked: drafts.Asked, draft: pb.Draft) -> None:
    """Adds to a draft how it differs from the plan that it changes, and why that cannot be applied."""
    from heddle.drafts.verdict import placed  # noqa: PLC0415 (imports PyYAML, which few runs need)

    draft.revision = asked.revision
    scope = scope_of(asked.request.revises)
    draft.skip_failed_of = str(scope or "")
    if not draft.HasField("plan"):
        return
    proposal = await term.read(partial(read_proposal, asked=asked, plan=draft.plan))
    draft.revision = proposal.revision
    draft.difference.changes.extend(proposal.changes)
    draft.problems.extend(await asyncio.to_thread(lambda: list(placed(draft.text, proposal.violations))))
    if draft.problems:
        draft.ClearField("plan")


def _handed_over(connection: Connection, attempt: AttemptName) -> Handover:
    return handed_over(whole_log(connection, attempt))


def _judging(
    term: Term, assignment: Assignment, found: Handover, before: pb.Plan | None
) -> Callable[[], pb.Draft]:
    from heddle.drafts.verdict import Circumstances, judge  # noqa: PLC0415 (imports PyYAML, which few runs need)

    worker = term.workers.get(assignment.worker).state

    def agent_problem(agent: str) -> str:
        try:
            check_available(agent, "the plan", worker.agents)
        except HeddleError as error:
            return error.message
        return ""

    circumstances = Circumstances(
        agent_problem=agent_problem,
        proposed_agent=proposed_agent(assignment.spec.agent, ready_agents([worker])),
        slots=max(worker.slots, 1),
        project_checks=bool(assignment.project_file.checks),
        before=before,
    )
    return partial(judge, found, circumstances)
