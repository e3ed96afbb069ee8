"""Commands about conflicts between epics, and about their merges."""

from collections.abc import Iterator
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, tables, words
from heddle.cli.console.arguments import EpicArgument, RunArgument
from heddle.cli.console.exit_codes import FAILED
from heddle.cli.console.output import Json, with_client

app = typer.Typer()


@app.command()
def conflicts(run: RunArgument, as_json: Json = False) -> None:
    """Show predicted conflicts, what each epic wrote outside its plan, and the merge queue."""
    name = resource_names.run_name(run)
    found = output.run_async(with_client(lambda client: client.get_conflicts(name)))
    if as_json:
        output.print_json(found)
        return
    forecast = found.forecast
    if forecast.conflicts:
        output.out.print(tables.predicted_conflicts(forecast.conflicts))
    else:
        output.line("no conflicts predicted")
    output.line("")
    if forecast.footprints:
        output.out.print(tables.footprints(forecast.footprints))
        for line in _accuracy(forecast):
            output.line(line)
        output.line("")
    output.out.print(tables.merge_queue(found.queue))


@app.command()
def merge(epic: EpicArgument, as_json: Json = False) -> None:
    """Merge an epic that waits for you, or retry a merge after you fixed its conflict or failure."""
    name = resource_names.epic_name(epic)
    merged = output.run_async(with_client(lambda client: client.retry_merge(name)))
    if as_json:
        output.print_json(merged)
    else:
        output.line(f"{merged.name.removeprefix('runs/')} will be merged; follow it with `heddle watch`")


@app.command()
def push(run: RunArgument, as_json: Json = False) -> None:
    """Retry the pushes that the remote of a project by URL rejected; exits 1 if some still fail."""
    name = resource_names.run_name(run)
    pushed = output.run_async(with_client(lambda client: client.push_run(name)))
    if as_json:
        output.print_json(pushed)
    else:
        for each in pushed.unpushed:
            output.line(f"{each.branch} could not be pushed: {words.plain(each.error)}")
        if not pushed.unpushed:
            output.line(f"all branches of {pushed.name.removeprefix('runs/')} are pushed to {pushed.project}")
    if pushed.unpushed:
        raise typer.Exit(FAILED)


@app.command()
def resolve(
    epic: EpicArgument,
    agent: Annotated[
        str,
        typer.Option(metavar="NAME", help="The agent to use. Default: the agent of the epic's last task."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Let an agent resolve the merge conflict of an epic; then the merge is retried.

    If new commits of the project's branch conflict with the epic, the agent of its next task resolves that.
    """
    name = resource_names.epic_name(epic)
    resolving = output.run_async(with_client(lambda client: client.resolve_conflict(name, agent=agent)))
    if as_json:
        output.print_json(resolving)
    else:
        short = resolving.name.removeprefix("runs/")
        output.line(f"an agent is resolving the conflict of {short}; follow it with `heddle watch`")


@app.command()
def sync(
    name: Annotated[str, typer.Argument(metavar="RUN[/EPIC]", help="The run or epic.")],
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Continue without the new commits, also if they conflict.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take new commits of the project's branch into an epic, or all epics of a run, before their next tasks."""
    full = resource_names.run_or_epic_name(name)
    found = output.run_async(with_client(lambda client: client.sync_base(full, cancel=cancel)))
    if as_json:
        output.print_json(pb.SyncBaseResponse(epics=found))
        return
    for epic in found:
        short, branch = epic.name.removeprefix("runs/").replace("/epics/", "/"), words.plain(epic.sync.branch)
        if cancel:
            output.line(f"{short} continues without new commits")
        else:
            output.line(f"{short} takes in new commits of {branch} before its next task starts")


@app.command()
def drop(epic: EpicArgument, as_json: Json = False) -> None:
    """Leave an epic unmerged that waits for you, or whose merge conflicted or failed. Its branch stays."""
    name = resource_names.epic_name(epic)
    dropped = output.run_async(with_client(lambda client: client.drop_epic(name)))
    if as_json:
        output.print_json(dropped)
    else:
        output.line(f"{dropped.name.removeprefix('runs/')} dropped; its work stays on {dropped.branch}")


def _accuracy(forecast: pb.ConflictForecast) -> Iterator[str]:
    """Yields how accurate the `touches` of the plan are, for epics that have any."""
    said = [each for each in forecast.footprints if each.touches]
    written = sum(len(each.paths) for each in said)
    if written:
        inside = written - sum(len(each.outside) for each in said)
        yield f"touches: {inside} of {words.count(written, 'path')} as planned ({inside / written:.0%})"
