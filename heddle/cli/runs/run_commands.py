"""Commands that start, show, pause, resume and cancel runs."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from heddle import operator_queue, pb
from heddle.cli.console import event_lines, output, resource_names, tables, words
from heddle.cli.console.arguments import (
    AgentOption,
    AllowDirtyOption,
    AttemptArgument,
    BaseOption,
    MaxParallelOption,
    MergeIntoOption,
    PlanInputs,
    RunArgument,
    project_of,
)
from heddle.cli.console.exit_codes import BAD_INPUT, INTERRUPTED
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.cli.console.transcript import Transcript
from heddle.cli.plans import plan_file
from heddle.cli.runs.follow import exit_code, follow_run
from heddle.client import HeddleClient
from heddle.drafts.prompt import remark_line
from heddle.files.retained_log import from_oldest
from heddle.identity.principals import person
from heddle.plan.yaml import writing
from heddle.timing.clock import utc_now

app = typer.Typer()


@app.command()
def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The plan file; - is standard input.")
    ] = None,
    *,
    repo: Annotated[
        str,
        typer.Option("--repo", metavar="PATH|URL", help="The git repository to work on; a URL is cloned."),
    ] = "",
    again: Annotated[
        str, typer.Option(metavar="RUN", help="Instead of FILE and --repo: run this run again.")
    ] = "",
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="With --again: only what was not accepted and merged.")
    ] = False,
    agent: AgentOption = "",
    max_parallel: MaxParallelOption = 0,
    base: BaseOption = "",
    merge_into: MergeIntoOption = "",
    allow_dirty: AllowDirtyOption = False,
    request_id: Annotated[str, typer.Option(help="Idempotency key: the same ID returns the same run.")] = "",
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    wait: Annotated[bool, typer.Option("--wait", help="Show the run until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Run a plan on a repository, or run another run again."""
    request = pb.CreateRunRequest(
        failed_only=failed_only,
        base_ref=base,
        agent=agent,
        max_parallel=max_parallel,
        merge_into=merge_into,
        allow_dirty=allow_dirty,
        request_id=request_id,
    )
    request.MergeFrom(_subject(file, repo, again, inputs))
    created = output.run_async(_create(request))
    short = created.name.removeprefix("runs/")
    if created.HasField("base_behind") and not as_json:
        output.print_message(f"note: {words.behind(created.base_behind)}")
    if created.remark and not as_json:
        output.print_message(f"note: {words.plain(created.remark)}")
    if not wait:
        if as_json:
            output.print_json(created)
        else:
            output.line(short)
            output.print_message(f"{short} has started; follow it with `heddle watch {short}`")
        return
    output.print_message(f"{short} has started")
    try:
        ended = output.run_async(_follow(created.name, 0, as_json))
    except KeyboardInterrupt:
        raise Failure(f"the run continues; follow it with `heddle watch {short}`", INTERRUPTED) from None
    raise typer.Exit(exit_code(ended))


@app.command()
def ls(
    limit: Annotated[int, typer.Option(min=1, max=500, help="Maximum number of runs to list.")] = 50,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""

    async def listed() -> list[pb.Run]:
        async with output.connect() as client:
            return list((await client.list_runs(page_size=limit)).runs)

    runs = output.run_async(listed())
    if as_json:
        for each in runs:
            output.print_json(each)
    elif runs:
        output.out.print(tables.runs(runs, utc_now()))
    else:
        output.print_message("no runs yet; start one with `heddle run plan.yaml --repo PATH`")


@app.command()
def show(
    run: RunArgument,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan as it was given, instead.")] = False,
    current: Annotated[
        bool, typer.Option("--current", help="With --plan: the plan after all changes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a run with its epics and tasks. With --json: only the run."""
    name = resource_names.run_name(run)
    if plan:
        output.run_async(_print_plan(name, current=current, as_json=as_json))
        return
    if current:
        raise Failure("--current requires --plan", BAD_INPUT)

    async def fetched() -> tuple[pb.Run, list[pb.Epic], list[pb.Task]]:
        async with output.connect() as client:
            found = await client.get_run(name)
            if as_json:
                return found, [], []
            return found, await client.list_epics(name), await client.list_tasks(f"{name}/epics/-")

    found, epics, tasks = output.run_async(fetched())
    if as_json:
        output.print_json(found)
        return
    output.out.print(tables.runs([found], utc_now()))
    for line in _details(found):
        output.line(line)
    output.line("")
    output.out.print(tables.tasks(epics, tasks, utc_now()))
    for line in (
        *tables.sources(tasks),
        *tables.context_fills(tasks),
        *tables.own_sessions(tasks),
        *tables.reviewed(tasks),
        *tables.choices(tasks),
    ):
        output.line(line)


@app.command()
def watch(
    run: RunArgument,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only events after this one.")] = 0,
    as_json: Json = False,
) -> None:
    """Show a run until it has ended; exits 0 only if it succeeded."""
    raise typer.Exit(exit_code(output.run_async(_follow(resource_names.run_name(run), after, as_json))))


@app.command(name="events")
def list_events(
    run: RunArgument,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only events after this one.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the events of a run so far."""
    name = resource_names.run_name(run)

    async def printed() -> None:
        async with output.connect() as client:
            read = partial(_events, client, name)
            async for event in from_oldest(read, after, output.print_retention_notice):
                if as_json:
                    output.print_json(event)
                else:
                    output.line(event_lines.line(event))

    output.run_async(printed())


@app.command()
def logs(
    attempt: AttemptArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue until the session has ended.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what an agent said and did."""
    transcript = Transcript()

    def show(event: pb.Event) -> None:
        if as_json:
            output.print_json(event)
        else:
            sys.stdout.write(transcript.text(event))
            sys.stdout.flush()

    async def printed() -> None:
        async with output.connect() as client:
            name = await resource_names.attempt_name(client, attempt)
            after = 0

            def begin_later(oldest: int) -> None:
                nonlocal after
                after = oldest - 1
                output.print_retention_notice(oldest)

            async for event in from_oldest(partial(_session_events, client, name), 0, begin_later):
                show(event)
                after = event.sequence
            if follow:
                async for response in client.watch_session(name, after=after):
                    for event in response.events:
                        show(event)

    output.run_async(printed())


@app.command()
def pause(run: RunArgument, as_json: Json = False) -> None:
    """Pause a run: no new tasks start; running sessions continue."""
    name = resource_names.run_name(run)
    _tell_run(output.run_async(with_client(lambda client: client.pause_run(name))), as_json)


@app.command()
def resume(
    run: RunArgument,
    budget_usd: Annotated[
        float | None,
        typer.Option(
            min=0.000001, metavar="USD", help="New budget: the total cost limit, including what was spent."
        ),
    ] = None,
    of: Annotated[
        str,
        typer.Option(metavar="EPIC[/TASK]", help="Set the budget of this epic or task instead of the run."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Resume a paused run, with a new budget if one was used up."""
    name = resource_names.run_name(run)
    if of and budget_usd is None:
        raise Failure("--of requires --budget-usd", BAD_INPUT)
    micros = None if budget_usd is None else round(budget_usd * 1_000_000)
    whose = resource_names.part_name(f"{run}/{of}") if of else ""
    resumed = with_client(lambda client: client.resume_run(name, budget_usd_micros=micros, budget_of=whose))
    _tell_run(output.run_async(resumed), as_json)


@app.command(name="set")
def set_limit(
    run: RunArgument,
    max_parallel: Annotated[
        int, typer.Option(min=1, help="Maximum parallel sessions from now on; running sessions continue.")
    ],
    as_json: Json = False,
) -> None:
    """Change the maximum number of parallel sessions of a run."""
    name = resource_names.run_name(run)
    changed = with_client(lambda client: client.update_run(name, max_parallel=max_parallel))
    _tell_run(output.run_async(changed), as_json)


@app.command()
def cancel(run: RunArgument, as_json: Json = False) -> None:
    """Cancel a run and all of its sessions. Accepted work stays on its branches.

    If one of its workers cannot be reached, says what the run waits for and returns.
    """
    name = resource_names.run_name(run)
    _tell_run(output.run_async(with_client(lambda client: client.cancel_run(name))), as_json)


def _subject(file: Path | None, repo: str, again: str, inputs: Sequence[str]) -> pb.CreateRunRequest:
    """Returns what to run: a plan on a repository, or another run; raises Failure if both or neither are named."""
    if again:
        if file or repo or inputs:
            raise Failure(
                "--again takes neither FILE nor --repo nor --input: the plan and repository are those of RUN",
                BAD_INPUT,
            )
        return pb.CreateRunRequest(again=resource_names.run_name(again))
    if file is None:
        raise Failure("name a plan FILE, or a run with --again", BAD_INPUT)
    if not repo:
        raise Failure("--repo is missing: the git repository to work on", BAD_INPUT)
    given = plan_file.read_with_text(file, inputs)
    return pb.CreateRunRequest(
        plan=given.plan, plan_text=given.text, plan_inputs=given.inputs, project=project_of(repo)
    )


def _events(client: HeddleClient, name: str, after: int) -> AsyncIterator[pb.Event]:
    return client.list_events(name, after=after)


async def _session_events(client: HeddleClient, name: str, after: int) -> AsyncIterator[pb.Event]:
    more = True
    while more:
        page = await client.list_session_events(name, after=after)
        for event in page.events:
            yield event
            after = event.sequence
        more = page.more


async def _print_plan(name: str, *, current: bool, as_json: bool) -> None:
    """Prints the first or the newest plan of a run: its text, or else its YAML form. Of a draft, the drafted plan."""
    async with output.connect() as client:
        if (await client.get_run(name)).draft:
            await _print_draft(client, name, as_json=as_json)
            return
        newest = await client.get_plan(name)
        found = newest if current or newest.revision == 1 else await client.get_plan(name, revision=1)
    if as_json:
        output.print_json(found)
        return
    if found.revision != newest.revision:
        changed = f"the plan was changed since, to revision {newest.revision}; --current prints that one"
        output.print_message(f"note: {changed}")
    if found.text and found.inputs:
        values = ", ".join(f"{name}={words.plain(value)}" for name, value in sorted(found.inputs.items()))
        output.print_message(f"note: its inputs were {values}")
    output.print_text(found.text or writing.text_of(found.plan))


async def _print_draft(client: HeddleClient, name: str, *, as_json: bool) -> None:
    found = await client.get_draft(name)
    if as_json:
        output.print_json(found)
        return
    if not found.attempt:
        raise Failure(f"{name.removeprefix('runs/')} is a draft of a plan, whose agent has not answered yet")
    for each in found.problems:
        output.print_message(f"error: {words.plain(remark_line(each))}")
    output.print_text(found.text)


async def _create(request: pb.CreateRunRequest) -> pb.Run:
    return await with_client(lambda client: client.create_run(request))


async def _follow(name: str, after: int, as_json: bool) -> pb.Run:
    return await with_client(lambda client: follow_run(client, name, after=after, as_json=as_json))


def _tell_run(run: pb.Run, as_json: bool) -> None:
    if as_json:
        output.print_json(run)
    else:
        output.line(f"{run.name.removeprefix('runs/')} {words.state(run)}")
        if run.waits_for:
            output.line(words.waits(words.plain(run.waits_for)))


def _details(run: pb.Run) -> Iterator[str]:
    merged = "a draft of a plan" if run.draft else f"merged on {run.branch}"
    yield f"from {run.base_ref or 'HEAD'} ({run.base_commit[:10]}), {merged}"
    if run.HasField("base_behind"):
        yield words.behind(run.base_behind)
    if run.merge_into:
        yield f"updates {run.merge_into} once everything is merged"
    if run.merge_hold:
        yield f"merge on hold: {words.plain(run.merge_hold)}"
    if run.reason:
        yield f"reason: {run.reason}"
    if run.waits_for:
        yield words.waits(words.plain(run.waits_for))
    if run.remark:
        yield f"note: {words.plain(run.remark)}"
    for each in run.granted_permissions:
        by = f" (by {person(each.actor)})" if each.actor else ""
        yield f"allowed in the whole run: {words.plain(each.rule)}{words.plain(by)}"
    if lacks := operator_queue.lacks(run):
        yield f"waits for: {lacks}" if run.fault else f"not pushed: {lacks}"
