"""The command that changes the plan of a run, after it has shown the difference."""

import sys
from collections.abc import Iterable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Final

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, words
from heddle.cli.console.arguments import PlanInputs
from heddle.cli.console.exit_codes import BAD_INPUT, DIFFERS, FAILED
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json
from heddle.cli.plans import plan_file

app = typer.Typer()

_SIGNS: Final = {
    pb.PLAN_CHANGE_KIND_ADDED: ("+", "added"),
    pb.PLAN_CHANGE_KIND_CHANGED: ("~", "changed"),
    pb.PLAN_CHANGE_KIND_MOVED: ("~", "moved"),
    pb.PLAN_CHANGE_KIND_REMOVED: ("-", "removed"),
}


@app.command()
def apply(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The plan file; - is standard input.")
    ] = None,
    *,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run, as listed by `heddle ls`.")] = "",
    draft: Annotated[
        str,
        typer.Option(
            "--draft",
            metavar="RUN",
            help="Instead of FILE and --run: the draft in which an agent changed the plan.",
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the difference; exits 3 if there is one.")
    ] = False,
    inputs: PlanInputs = [],  # noqa: B006 (typer copies the default)
    as_json: Json = False,
) -> None:
    """Change the plan of a run, also while it runs: show the difference, ask, and apply all of it or nothing."""
    if draft:
        if file or run or inputs:
            raise Failure(
                "--draft is not combined with FILE, --run or --input: it has the plan and its run", BAD_INPUT
            )
        request = request_of(output.run_async(_draft(resource_names.run_name(draft))))
    elif file and run:
        given = plan_file.read_with_text(file, inputs)
        request = pb.ApplyPlanRequest(
            name=resource_names.run_name(run),
            plan=given.plan,
            plan_text=given.text,
            plan_inputs=given.inputs,
        )
    else:
        raise Failure("name the plan file and --run, or a draft with --draft", BAD_INPUT)
    can_ask = str(file) != "-" and not as_json and sys.stdin.isatty()
    change(request, yes=yes, can_ask=can_ask, as_json=as_json, dry_run=dry_run)


def request_of(found: pb.Draft) -> pb.ApplyPlanRequest:
    """Returns the request that applies a draft; raises Failure if it has no valid plan, or is not of a run."""
    if not found.revises.run:
        raise Failure("the draft is a new plan; start it with `heddle run`", BAD_INPUT)
    if not found.HasField("plan"):
        raise Failure("the draft has no valid plan; `heddle show RUN --plan` prints its last text", FAILED)
    return pb.ApplyPlanRequest(
        name=found.revises.run,
        plan=found.plan,
        plan_text=found.text,
        revision=found.revision,
        skip_failed_of=found.skip_failed_of,
    )


def change(
    request: pb.ApplyPlanRequest,
    *,
    yes: bool,
    can_ask: bool,
    as_json: bool,
    dry_run: bool = False,
    later: str = "",
) -> None:
    """Shows the difference and applies it if the user says so.

    Raises Failure if it is refused, or no one can be asked; with `later`, that is printed in the last case instead.
    """
    request.validate_only = True
    found = output.run_async(_call(request))
    _show(found, request.skip_failed_of, as_json=as_json)
    if dry_run or not found.difference.changes:
        if as_json:
            output.print_json(found)
        elif not found.difference.changes:
            output.print_message("no difference; nothing was changed")
        raise typer.Exit(DIFFERS if found.difference.changes else 0)
    if not (yes or can_ask) and later:
        output.print_message(later)
        return
    if not yes:
        _ask(can_ask=can_ask)
    # What was shown is what is applied.
    request.revision = found.revision
    request.validate_only = False
    applied = output.run_async(_call(request))
    if as_json:
        output.print_json(applied)
    else:
        changed = words.count(len(applied.difference.changes), "change")
        output.print_message(f"{changed} applied; the plan is now at revision {applied.revision}")


def _show(found: pb.ApplyPlanResponse, skipped: str, *, as_json: bool) -> None:
    """Prints the difference; raises Failure if it cannot be applied."""
    changes = found.difference.changes
    if not as_json:
        for line in report(changes):
            output.line(line)
        if skipped:
            output.line(f"failed tasks of {skipped.removeprefix('runs/')} are skipped first")
    if refusals := sum(bool(each.refusal) for each in changes):
        if as_json:
            output.print_json(found)
        raise Failure(f"{words.count(refusals, 'change')} cannot be applied, so nothing was changed")


async def _call(request: pb.ApplyPlanRequest) -> pb.ApplyPlanResponse:
    return await output.with_client(lambda client: client.apply_plan(request))


async def _draft(name: str) -> pb.Draft:
    return await output.with_client(lambda client: client.get_draft(name))


def _ask(*, can_ask: bool) -> None:
    if not can_ask:
        raise Failure("nothing was changed: --yes applies the difference without asking", BAD_INPUT)
    if not typer.confirm("Apply?", err=True):
        raise Failure("nothing was changed", FAILED)


def report(changes: Iterable[pb.PlanChange]) -> Iterator[str]:
    """Yields the lines that describe changes, each with its fields and the reason if it cannot be applied."""
    for change in changes:
        sign, word = _SIGNS.get(change.kind, ("~", "changed"))
        yield f"{sign} {_title(change)} {word}"
        for field in change.fields:
            yield from _field(field)
        if change.refusal:
            yield f"    ! refused: {words.plain(change.refusal)}"


def _title(change: pb.PlanChange) -> str:
    if change.task:
        return f"task {change.epic}/{change.task}"
    return f"epic {change.epic}" if change.epic else "plan"


def _field(field: pb.PlanFieldChange) -> Iterator[str]:
    before = field.before if field.HasField("before") else "(none)"
    after = field.after if field.HasField("after") else "(none)"
    if "\n" not in before + after:
        yield f"    {field.field}: {words.plain(before)} → {words.plain(after)}"
        return
    yield f"    {field.field}:"
    # The first three lines name the files and the place.
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    yield from (f"      {words.plain(line)}" for line in lines if not line.startswith("@@"))
