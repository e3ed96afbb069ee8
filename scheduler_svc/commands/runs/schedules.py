"""Creates, pauses, resumes and deletes schedules."""

from functools import partial

from heddle import pb
from heddle.errors import invalid_field
from heddle.identity.principals import Call
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.model.run_ids import run_id
from scheduler_svc.model.schedule_times import check, next_after
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.rows import schedules
from scheduler_svc.store.rows.callers import requests

_UTC = "UTC"


async def create_schedule(
    database: Database,
    start_run: StartRun,
    request: pb.CreateScheduleRequest,
    suffix: str,
    *,
    call: Call,
    now: int,
) -> pb.Schedule:
    """Returns the new schedule, or the one that this request_id already created."""
    before = await database.read(lambda connection: requests.recall(connection, request.request_id, request))
    if before:
        return await database.read(partial(schedules.read, schedule=schedule_id(before)))
    zone = request.time_zone or _UTC
    check(request.cron, zone)
    _check_policies(request)
    for field in ("again", "request_id", "validate_only", "failed_only"):
        if getattr(request.run, field):
            raise invalid_field(f"run.{field}", "must be absent")
    tried = pb.CreateRunRequest()
    tried.CopyFrom(request.run)
    tried.validate_only = True
    await start_run(tried, call, now)
    schedule = run_id(request.run.plan.name, suffix)
    row = {
        "schedule": schedule,
        "cron": request.cron,
        "time_zone": zone,
        "overlap": request.overlap or pb.OVERLAP_POLICY_SKIP,
        "missed": request.missed or pb.MISSED_POLICY_SKIP,
        "request": request.run.SerializeToString(),
        "title": request.run.plan.name,
        "project": request.run.project,
        "creator": call.principal.name,
        "created_at": now,
        "next_at": next_after(request.cron, zone, now),
    }

    def work(connection: Connection) -> str:
        schedules.insert(connection, row)
        return f"schedules/{schedule}"

    made = await database.submit(partial(requests.once, request=request, work=work, call=call, now=now))
    return await database.read(partial(schedules.read, schedule=schedule_id(made)))


def update_schedule(connection: Connection, schedule: str, *, paused: bool, now: int) -> None:
    """Pauses or resumes a schedule; raises NOT_FOUND."""
    found = schedules.read(connection, schedule)
    next_at = next_after(found.cron, found.time_zone, now)
    schedules.set_paused(connection, schedule, paused=paused, next_at=next_at)


def schedule_id(name: str) -> str:
    """Returns the id of schedules/SCHEDULE; raises INVALID_FIELD."""
    start, _, schedule = name.partition("/")
    if start != "schedules" or not schedule or "/" in schedule:
        raise invalid_field("name", f"{name!r} is not a schedule; use schedules/SCHEDULE")
    return schedule


def _check_policies(request: pb.CreateScheduleRequest) -> None:
    if request.overlap not in pb.OverlapPolicy.values():
        raise invalid_field("overlap", f"{request.overlap} is unknown; use SKIP, QUEUE or ALLOW")
    if request.missed not in pb.MissedPolicy.values():
        raise invalid_field("missed", f"{request.missed} is unknown; use SKIP or RUN_ONCE")
