"""Commands on plan files."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from google.protobuf.json_format import MessageToDict

from heddle import labels, pb
from heddle.cli.console import output, words
from heddle.cli.console.arguments import PlanInputs
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json
from heddle.cli.plans import plan_file, plan_simulation, project_file
from heddle.config import Settings
from heddle.plan.graphs.analysis import Analysis, analyse, planned_order
from heddle.plan.rules import resolved_agent
from heddle.plan.validation import resource_rules

# The sessions of a worker with usual settings.
USUAL_PARALLEL: Final = Settings.read({}).slots

app = typer.Typer(help="Check, simulate and change plans.", no_args_is_help=True)


@app.callback()
def plan() -> None:
    """Check, simulate and change plans."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan file; - is standard input.")],
    *,
    max_parallel: Annotated[int, typer.Option(min=1, help="Maximum parallel sessions.")] = USUAL_PARALLEL,
    repo: Annotated[
        Path | None, typer.Option("--repo", help="Also check the .heddle.yaml of this repository.")
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="REF", help="With --repo: the commit to read it from. Default: HEAD.")
    ] = "",
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    as_json: Json = False,
) -> None:
    """Show what a plan will do, or every error in it. Starts nothing and needs no server."""
    found = plan_file.read(file, inputs)
    project = project_file.read(repo.expanduser(), base) if repo else None
    if project and project.loaded and project.loaded.problems:
        raise Failure(f"{project.loaded.describe()}\nas of {project.commit[:10]}", BAD_INPUT)
    analysis = analyse(found, max_parallel)
    if as_json:
        # The analysis is not an API message; its names belong to this command.
        plain: dict[str, object] = {"plan": MessageToDict(found), "analysis": asdict(analysis)}
        if project and project.loaded:
            plain["project_file"] = MessageToDict(project.loaded.file)
        output.print_plain_json(plain)
        return
    for line in report(found, analysis):
        output.line(line)
    if project:
        output.line("")
        for line in project_file.report(project):
            output.line(line)


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan file; - is standard input.")],
    *,
    max_parallel: Annotated[
        str, typer.Option(metavar="N,N", help="Maximum parallel sessions; one simulation for each number.")
    ] = "4,8,16",
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    as_json: Json = False,
) -> None:
    """Estimate the duration and cost of a plan for several numbers of parallel sessions.

    Uses the estimates of the plan. For tasks without one, uses the average of the same
    agent in the newest runs of the server, if it can be reached. Starts nothing.
    """
    parallel = plan_simulation.parse_parallel(max_parallel)
    found = plan_file.read(file, inputs)
    learned = output.run_async(plan_simulation.learn())
    rows = plan_simulation.simulate(found, learned, parallel)
    in_seconds = plan_simulation.knows_lengths(found, learned)
    if as_json:
        for row in rows:
            output.print_plain_json({**row, "in_seconds": in_seconds})
        return
    output.out.print(plan_simulation.table(rows, in_seconds=in_seconds))
    if not in_seconds:
        output.line("(no estimates and no earlier runs of these agents, so durations are counted in tasks)")


def report(found: pb.Plan, analysis: Analysis) -> Iterator[str]:
    """Yields the lines of the report on a valid plan."""
    tasks = sum(len(epic.tasks) for epic in found.epics)
    yield f"{found.name}: {words.count(len(found.epics), 'epic')}, {words.count(tasks, 'task')}, no errors"
    yield ""
    yield "Waves (epics of a wave run in parallel, after all earlier waves):"
    for number, wave in enumerate(analysis.waves, 1):
        yield f"  {number}. {', '.join(wave)}"
    yield ""
    yield "Tasks in planned order:"
    for epic in found.epics:
        yield f"  {epic.key}{f': {epic.title}' if epic.title else ''}{_place(found, epic)}"
        for place, task in enumerate(planned_order(epic), 1):
            yield f"    {place}. {_task(task, found.defaults)}"
    yield ""
    yield from _lengths(analysis)
    yield from _overlaps(analysis)


def _place(found: pb.Plan, epic: pb.PlanEpic) -> str:
    place = labels.text({**found.place, **epic.place})
    needs = resource_rules.text({**found.resources, **epic.resources})
    about = [f"on workers with {place}" if place else "", f"needs {needs}" if needs else ""]
    said = ", ".join(filter(None, about))
    return f" ({said})" if said else ""


def _task(task: pb.PlanTask, defaults: pb.TaskDefaults) -> str:
    about = [resolved_agent(task, defaults)]
    if task.HasField("priority"):
        about.append(f"priority {task.priority}")
    if task.HasField("estimate"):
        about.append(words.span(task.estimate))
    if task.source:
        about.append(f"from {words.plain(task.source)}")
    return f"{task.key}{f': {task.title}' if task.title else ''} ({', '.join(about)})"


def _lengths(analysis: Analysis) -> Iterator[str]:
    def length(value: float) -> str:
        return words.span(value) if analysis.in_seconds else words.count(round(value), "task")

    yield f"Critical path: {' → '.join(analysis.critical_path)} ({length(analysis.critical_length)})"
    yield f"Total work: {length(analysis.total_work)}"
    yield f"Lower bound with {analysis.parallel} in parallel: {length(analysis.lower_bound)}"
    yield f"Estimated duration: {length(analysis.makespan)}"
    if not analysis.in_seconds:
        yield "(no task has an estimate, so durations are counted in tasks)"


def _overlaps(analysis: Analysis) -> Iterator[str]:
    if analysis.overlaps:
        yield ""
        yield "May conflict (both expect to write the same paths, and neither depends on the other):"
    for each in analysis.overlaps:
        yield f"  {each.epic} ({each.glob}) and {each.other} ({each.other_glob})"
