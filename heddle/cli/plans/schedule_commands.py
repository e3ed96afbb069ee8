"""Commands on schedules, which run plans at recurring times."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, tables, words
from heddle.cli.console.arguments import (
    AgentOption,
    AllowDirtyOption,
    BaseOption,
    MaxParallelOption,
    MergeIntoOption,
    PlanInputs,
    project_of,
)
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.cli.plans import plan_file
from heddle.timing.clock import utc_now

app = typer.Typer(help="Run plans at recurring times.", no_args_is_help=True)

ScheduleArgument = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="The schedule, as listed by `heddle schedule list`.")
]


class Overlap(StrEnum):
    """What happens if the last run has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class Missed(StrEnum):
    """What happens to times that passed while no scheduler was running."""

    SKIP = "skip"
    RUN_ONCE = "run_once"


@app.command()
def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan file; - is standard input.")],
    *,
    cron: Annotated[str, typer.Option(metavar="FIELDS", help="When, for example '0 3 * * MON-FRI'.")],
    project: Annotated[
        str, typer.Option("--project", metavar="PATH|URL", help="The git repository to work on.")
    ],
    time_zone: Annotated[str, typer.Option(metavar="NAME", help="For example Europe/Berlin.")] = "UTC",
    overlap: Annotated[
        Overlap, typer.Option(help="If the last run has not ended: skip, queue one run, or allow another.")
    ] = Overlap.SKIP,
    missed: Annotated[
        Missed, typer.Option(help="For times that passed while no scheduler was running: skip, or run once.")
    ] = Missed.SKIP,
    agent: AgentOption = "",
    max_parallel: MaxParallelOption = 0,
    base: BaseOption = "",
    merge_into: MergeIntoOption = "",
    allow_dirty: AllowDirtyOption = False,
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    request_id: Annotated[str, typer.Option(help="Idempotency key: one schedule is created per ID.")] = "",
    as_json: Json = False,
) -> None:
    """Run a plan at recurring times."""
    given = plan_file.read_with_text(file, inputs)
    request = pb.CreateScheduleRequest(
        cron=cron,
        time_zone=time_zone,
        overlap=pb.OverlapPolicy.Value(f"OVERLAP_POLICY_{overlap.name}"),
        missed=pb.MissedPolicy.Value(f"MISSED_POLICY_{missed.name}"),
        request_id=request_id,
        run=pb.CreateRunRequest(
            plan=given.plan,
            plan_text=given.text,
            plan_inputs=given.inputs,
            project=project_of(project),
            base_ref=base,
            agent=agent,
            max_parallel=max_parallel,
            merge_into=merge_into,
            allow_dirty=allow_dirty,
        ),
    )
    made = output.run_async(with_client(lambda client: client.create_schedule(request)))
    if as_json:
        output.print_json(made)
        return
    output.line(made.name.removeprefix("schedules/"))
    output.print_message(f"due next at {words.date_and_time(made.next_time)}")


@app.command(name="list")
def list_schedules(as_json: Json = False) -> None:
    """List schedules: when each is due next, and its last run."""
    found = output.run_async(with_client(lambda client: client.list_schedules()))
    if as_json:
        for each in found:
            output.print_json(each)
    elif found:
        output.out.print(tables.schedules(found, utc_now()))
    else:
        output.print_message("no schedules; create one with `heddle schedule create`")


@app.command()
def pause(schedule: ScheduleArgument, as_json: Json = False) -> None:
    """Pause a schedule: it starts no runs; a running one continues."""
    _update(schedule, paused=True, as_json=as_json)


@app.command()
def resume(schedule: ScheduleArgument, as_json: Json = False) -> None:
    """Resume a paused schedule; it is due at its next time."""
    _update(schedule, paused=False, as_json=as_json)


@app.command()
def delete(schedule: ScheduleArgument, as_json: Json = False) -> None:
    """Delete a schedule. Its runs stay, and a running one continues."""
    name = _name(schedule)
    output.run_async(with_client(lambda client: client.delete_schedule(name)))
    if as_json:
        output.print_json(pb.DeleteScheduleResponse())
    else:
        output.line(f"{name.removeprefix('schedules/')} deleted")


def _update(schedule: str, *, paused: bool, as_json: bool) -> None:
    name = _name(schedule)
    changed = output.run_async(with_client(lambda client: client.update_schedule(name, paused=paused)))
    if as_json:
        output.print_json(changed)
    else:
        state = "paused" if changed.paused else f"due next at {words.date_and_time(changed.next_time)}"
        output.line(f"{changed.name.removeprefix('schedules/')} {state}")


def _name(schedule: str) -> str:
    short = schedule.removeprefix("schedules/")
    if not short or "/" in short:
        raise Failure(
            f"{schedule!r} is not a valid schedule; use SCHEDULE as in `heddle schedule list`", BAD_INPUT
        )
    return f"schedules/{short}"
