"""The commands that let an agent change a plan: split an epic, plan the rest of a run again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names
from heddle.cli.console.arguments import BaseOption, PlanInputs, project_of
from heddle.cli.console.exit_codes import BAD_INPUT, INTERRUPTED
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.cli.plans import apply_command, draft_command, plan_file
from heddle.drafts.request import MAX_ROUNDS, ROUNDS

app = typer.Typer()

WishArgument = Annotated[
    str, typer.Argument(metavar="WISH", help="What to consider, in plain words.", show_default=False)
]
AgentOption = Annotated[
    str, typer.Option(help="The agent that changes the plan. Default: the one you chose.")
]
ModelOption = Annotated[str, typer.Option(help="The model, as the agent names it.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the changed plan to a new file.")
]
RoundsOption = Annotated[
    int, typer.Option(min=0, max=MAX_ROUNDS, help="How often errors of the plan go back to the agent.")
]
BudgetOption = Annotated[
    float | None, typer.Option(min=0.000001, metavar="USD", help="Cost limit of the draft.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Apply the difference without asking.")]


@app.command()
def split(
    epic: Annotated[
        str, typer.Argument(metavar="EPIC", help="RUN/EPIC of a run; with --file, the key of an epic.")
    ],
    wish: WishArgument = "",
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="The plan file that has the epic; - is standard input."),
    ] = None,
    repo: Annotated[
        str, typer.Option("--repo", metavar="PATH|URL", help="With --file: the git repository of the plan.")
    ] = "",
    base: BaseOption = "",
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    agent: AgentOption = "",
    model: ModelOption = "",
    rounds: RoundsOption = ROUNDS,
    budget_usd: BudgetOption = None,
    out: OutOption = None,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Let an agent split a too large epic into several that can run at the same time.

    Of a run, only what has not started can be split: the difference is shown before it
    is applied. Of a file, the changed plan is printed.
    """
    revises = pb.PlanRevision(kind=pb.PLAN_REVISION_KIND_SPLIT)
    if file is None:
        revises.run, _, revises.epic = resource_names.epic_name(epic).partition("/epics/")
        if repo or base:
            raise Failure("--repo and --base are for --file: a run has a repository and a base", BAD_INPUT)
    else:
        if not repo:
            raise Failure("--file needs --repo, the git repository that the agent reads", BAD_INPUT)
        revises.plan.CopyFrom(plan_file.read(file, inputs))
        revises.epic = epic
    request = pb.DraftPlanRequest(
        goal=wish,
        revises=revises,
        project=project_of(repo) if file else "",
        base_ref=base,
        model=model,
        rounds=rounds,
    )
    _revise(request, agent, budget_usd, out, yes=yes, as_json=as_json)


@app.command()
def rest(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN[/EPIC]", help="The run, or one epic of it, of which something failed."),
    ],
    wish: WishArgument = "",
    *,
    agent: AgentOption = "",
    model: ModelOption = "",
    rounds: RoundsOption = ROUNDS,
    budget_usd: BudgetOption = None,
    out: OutOption = None,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Let an agent plan the rest of a run or epic again after a failure.

    It is given what was accepted, what failed and why. The difference is shown before
    it is applied; failed tasks are then skipped, because the new plan replaces them.
    """
    named = what.removeprefix("runs/")
    revises = pb.PlanRevision(kind=pb.PLAN_REVISION_KIND_REST)
    if "/" in named:
        revises.run, _, revises.epic = resource_names.epic_name(named).partition("/epics/")
    else:
        revises.run = resource_names.run_name(named)
    request = pb.DraftPlanRequest(goal=wish, revises=revises, model=model, rounds=rounds)
    _revise(request, agent, budget_usd, out, yes=yes, as_json=as_json)


def _revise(
    request: pb.DraftPlanRequest,
    agent: str,
    budget_usd: float | None,
    out: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Lets the agent work, shows what it proposes, and applies that to the run if wanted."""
    draft_command.check_new(out)
    if budget_usd is not None:
        request.budget_usd_micros = round(budget_usd * 1_000_000)
    run = output.run_async(with_client(lambda client: draft_command.begin(client, request, agent)))
    short = run.name.removeprefix("runs/")
    output.print_message(f"{request.agent} changes the plan in {short}; see it with `heddle open`")
    try:
        run, found = output.run_async(with_client(lambda client: draft_command.follow(client, run.name)))
    except KeyboardInterrupt:
        advice = f"`heddle watch {short}` follows it, and `heddle apply --draft {short}` shows and applies its plan"
        raise Failure(f"the draft continues; {advice}", INTERRUPTED) from None
    of_run = bool(request.revises.run)
    draft_command.show(run, found, out, as_json=as_json, prints_plan=not of_run)
    if not of_run:
        for line in apply_command.report(found.difference.changes):
            output.print_message(line)
        return
    can_ask = not as_json and sys.stdin.isatty()
    later = f"nothing was changed; `heddle apply --draft {short}` applies it"
    apply_command.change(
        apply_command.request_of(found), yes=yes, can_ask=can_ask, as_json=as_json, later=later
    )
