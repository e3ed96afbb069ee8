"""Starts the runs of schedules that are due.

The request_id of a run consists of the schedule and the time for which it starts, so a leader that repeats the work of
another one starts no second run.
"""

from functools import partial

import grpc
import structlog

from heddle.errors import HeddleError
from heddle.identity.principals import Call, Principal
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model import schedule_times
from scheduler_svc.model.schedule_times import Step
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.rows import schedules
from scheduler_svc.store.rows.schedules import DueSchedule

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def start_due(term: Term, start_run: StartRun) -> None:
    """Handles each schedule that is due now; one that cannot start a run yet stays due."""
    for found in await term.read(partial(schedules.due, now=term.now())):
        step = schedule_times.step(found.due, term.now())
        if step is None:
            continue
        try:
            await _take(term, start_run, found, step)
        except HeddleError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            log.warning("schedule_waits", schedule=found.id, error=error.message)


async def _take(term: Term, start_run: StartRun, found: DueSchedule, step: Step) -> None:
    run, problem = "", step.problem
    if step.start is not None:
        found.request.request_id = f"schedules/{found.id}/{step.start}"
        call = Call(Principal(found.creator), "SchedulerService.CreateRun", f"schedules/{found.id}")
        try:
            run = (await start_run(found.request, call, term.now())).name
        except HeddleError as error:
            if error.code is grpc.StatusCode.UNAVAILABLE:
                raise
            problem = error.message
    log.info("schedule_due", schedule=found.id, run=run, problem=problem)
    advance = partial(schedules.advance, found=found, step=step, run=run, problem=problem)
    await term.write("advance_schedule", advance, LOOP)
