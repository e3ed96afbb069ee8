"""The command that lets an agent draft a plan, shows it, and starts it if wanted."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from heddle import pb, urls
from heddle.cli.console import event_lines, output, words
from heddle.cli.console.arguments import AllowDirtyOption, BaseOption, project_of
from heddle.cli.console.exit_codes import BAD_INPUT, FAILED, INTERRUPTED
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.cli.plans import plan_commands, plan_simulation
from heddle.client import HeddleClient
from heddle.client.agent_averages import Learned
from heddle.drafts import sources
from heddle.drafts.prompt import remark_line
from heddle.drafts.request import MAX_ROUNDS, ROUNDS
from heddle.plan.graphs.analysis import analyse
from heddle.samples.example import ready_agents, usual_agent

app = typer.Typer()


@app.command()
def draft(
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What to achieve, in plain words.")] = "",
    *,
    repo: Annotated[
        str,
        typer.Option("--repo", metavar="PATH|URL", help="The git repository to work on; a URL is cloned."),
    ],
    given: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="FILE",
            help="A text that describes the work, or a folder of such texts; - is standard input.",
        ),
    ] = [],  # noqa: B006 (typer copies the default)
    agent: Annotated[str, typer.Option(help="The agent that drafts. Default: the one you chose.")] = "",
    model: Annotated[str, typer.Option(help="The model, as the agent names it.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan to a new file.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=0, max=MAX_ROUNDS, help="How often errors of the plan go back to the agent.")
    ] = ROUNDS,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.000001, metavar="USD", help="Cost limit of the draft.")
    ] = None,
    base: BaseOption = "",
    start: Annotated[bool, typer.Option("--start", help="Start the plan without asking.")] = False,
    allow_dirty: AllowDirtyOption = False,
    request_id: Annotated[
        str, typer.Option(help="Idempotency key: the same ID returns the same draft.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Let an agent draft a plan for a goal: it reads the repository and changes nothing."""
    check_new(out)
    request = pb.DraftPlanRequest(
        goal=goal,
        sources=_sources(goal, given, repo),
        project=project_of(repo),
        base_ref=base,
        model=model,
        rounds=rounds,
        budget_usd_micros=None if budget_usd is None else round(budget_usd * 1_000_000),
        request_id=request_id,
    )
    run = output.run_async(with_client(lambda client: begin(client, request, agent)))
    short = run.name.removeprefix("runs/")
    output.print_message(f"{request.agent} drafts a plan in {short}; see it with `heddle open`")
    try:
        run, found = output.run_async(with_client(lambda client: follow(client, run.name)))
    except KeyboardInterrupt:
        advice = f"`heddle watch {short}` follows it, and `heddle show {short} --plan` prints its plan"
        raise Failure(f"the draft continues; {advice}", INTERRUPTED) from None
    show(run, found, out, as_json=as_json)
    if start or _wants_start(can_ask=not as_json and "-" not in given):
        again = pb.CreateRunRequest(
            plan=found.plan,
            plan_text=found.text,
            project=request.project,
            base_ref=base,
            allow_dirty=allow_dirty,
            draft=run.name,
        )
        _tell_start(output.run_async(with_client(lambda client: client.create_run(again))), as_json)
    elif not as_json:
        file = shlex.quote(str(out)) if out else "FILE"
        output.print_message(
            f"nothing was started; `heddle run {file} --repo {shlex.quote(repo)}` starts the plan"
        )


def check_new(out: Path | None) -> None:
    """Raises Failure if the file to write exists."""
    if out is not None and out.exists():
        raise Failure(f"{out} exists; name another file with --out, or remove it", BAD_INPUT)


def _sources(goal: str, given: list[str], repo: str) -> list[pb.DraftSource]:
    """Returns the sources; without any and without a goal, the specifications of the repository."""
    repository = None if urls.is_url(repo) else Path(repo).expanduser()
    specs = repository / sources.SPECS if repository else None
    names = given or ([str(specs)] if not goal.strip() and specs and specs.is_dir() else [])
    if not goal.strip() and not names:
        raise Failure(
            f"say what to achieve as GOAL, or name a text with --from; without both, {sources.SPECS} in the repository"
            " is read, which does not exist",
            BAD_INPUT,
        )
    try:
        return sources.read_sources(names, repository)
    except sources.SourceError as error:
        raise Failure(str(error), BAD_INPUT) from error


async def begin(client: HeddleClient, request: pb.DraftPlanRequest, agent: str) -> pb.Run:
    """Starts a draft by `agent`, or else by the usual agent, which the request then has."""
    request.agent = agent or await _usual_agent(client)
    return await client.draft_plan(request)


async def _usual_agent(client: HeddleClient) -> str:
    """Returns the agent that the person has chosen if it is ready, else the first one that is."""
    ready = ready_agents(await client.list_workers())
    if not ready:
        raise Failure("no agent is ready; `heddle doctor` says why, and --agent names one", BAD_INPUT)
    return usual_agent(ready, (await client.get_preferences()).agent)


async def follow(client: HeddleClient, name: str) -> tuple[pb.Run, pb.Draft]:
    """Shows what happens until the draft has ended; returns it."""
    async for answer in client.watch_run(name):
        for event in answer.events:
            if event.WhichOneof("payload") != "usage":
                output.print_message(event_lines.line(event))
            if event.HasField("approval_requested"):
                output.print_message(
                    "       `heddle approvals` lists the question; answer it there or in the web app"
                )
    return await client.get_run(name), await client.get_draft(name)


def show(run: pb.Run, found: pb.Draft, out: Path | None, *, as_json: bool, prints_plan: bool = True) -> None:
    """Prints the draft, or writes its plan to `out`; raises Failure if it is not a valid plan."""
    if as_json:
        output.print_json(found)
    if out is not None and found.text:
        with out.open("x", encoding="utf-8") as file:
            file.write(found.text)
        output.print_message(f"the {'plan' if found.HasField('plan') else 'last text'} is in {out}")
    elif found.text and prints_plan and not as_json:
        output.print_text(found.text)
    learned = output.run_async(plan_simulation.learn()) if found.HasField("plan") else {}
    for line in report(found, learned):
        output.print_message(line)
    if run.state != pb.RUN_STATE_SUCCEEDED:
        why = f" ({words.plain(run.reason)})" if run.reason else ""
        where = f"`heddle show {run.name.removeprefix('runs/')}` shows it"
        raise Failure(f"the draft was not successful: it is {words.state(run)}{why}; {where}", FAILED)


def report(found: pb.Draft, learned: dict[str, Learned]) -> Iterator[str]:
    """Yields the lines about a draft: the agent's reasons, what the plan will do, and the remarks on it."""
    if found.reasons:
        yield ""
        yield from (words.plain(line) for line in found.reasons.splitlines())
    if found.HasField("plan"):
        yield ""
        yield from plan_commands.report(found.plan, analyse(found.plan, plan_commands.USUAL_PARALLEL))
        cost = plan_simulation.cost(found.plan, learned)
        yield f"Estimated cost: {'unknown' if cost is None else f'${cost / 1_000_000:.2f}'}"
    for title, remarks in (("Errors", found.problems), ("Remarks", found.warnings)):
        if remarks:
            yield ""
            yield f"{title}:"
            yield from (f"  {words.plain(remark_line(each))}" for each in remarks)


def _wants_start(*, can_ask: bool) -> bool:
    if not can_ask or not sys.stdin.isatty():
        return False
    with suppress(typer.Abort):
        return typer.confirm("Start this plan?", err=True)
    return False


def _tell_start(run: pb.Run, as_json: bool) -> None:
    short = run.name.removeprefix("runs/")
    if as_json:
        output.print_json(run)
    output.print_message(f"{short} has started; follow it with `heddle watch {short}`")
