"""Commands that answer questions of agents, and that stop, retry or skip tasks."""

from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import typer

from heddle import operator_queue, pb
from heddle.cli.console import output, resource_names, tables, words
from heddle.cli.console.arguments import AttemptArgument, RunArgument, TaskArgument
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json, with_client
from heddle.client import HeddleClient
from heddle.timing.clock import utc_now

app = typer.Typer()

IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="[ID]",
        help="The question, as listed by `heddle approvals`; optional if there is only one.",
    ),
]
MessageOption = Annotated[str, typer.Option("--message", "-m", help="Message for the agent.")]


class Always(StrEnum):
    """For how long calls like the approved one are allowed."""

    SESSION = "session"
    RUN = "run"


_SCOPES: Final = {
    None: pb.APPROVAL_SCOPE_UNSPECIFIED,
    Always.SESSION: pb.APPROVAL_SCOPE_SESSION,
    Always.RUN: pb.APPROVAL_SCOPE_RUN,
}


class _Answer(NamedTuple):
    """The operator's answer to a question."""

    approved: bool
    message: str
    scope: "pb.ApprovalScope.ValueType" = pb.APPROVAL_SCOPE_UNSPECIFIED
    rule: str = ""


class _Queue(NamedTuple):
    """Items that need the operator: questions, epics to merge, candidates to choose, runs on hold or with a fault."""

    questions: list[pb.Approval]
    runs: list[pb.Run]
    epics: list[pb.Epic]
    tasks: list[pb.Task]


@app.command()
def approvals(as_json: Json = False) -> None:
    """List everything that needs your answer, in all runs: questions of agents (oldest first), epics to merge, candidates to choose, used-up budgets, faults and failed pushes."""
    queue = output.run_async(with_client(_queue))
    if as_json:
        for each in (message for part in queue for message in part):
            output.print_json(each)
        return
    if queue.questions:
        output.out.print(tables.approvals(queue.questions, utc_now()))
    if queue.epics or queue.runs or queue.tasks:
        output.out.print(tables.halted(queue.runs, queue.epics, utc_now(), queue.tasks))
    if not any(queue):
        output.print_message("nothing needs your answer")


async def _queue(client: HeddleClient) -> _Queue:
    questions = await client.list_approvals()
    runs: dict[str, pb.Run] = {}
    async with aclosing(client.watch_runs(newest=operator_queue.RUNS_LOOKED_AT)) as responses:
        async for response in responses:
            runs |= {run.name: run for run in response.runs}
            if response.complete:
                break
    now = utc_now().timestamp()
    looked_at = [run for run in runs.values() if operator_queue.may_hold_merges(run, now)]
    epics = [epic for run in looked_at for epic in await client.list_epics(run.name)]
    asking = [run.name for run in runs.values() if run.tasks.waiting]
    tasks = [task for name in asking for task in await client.list_tasks(f"{name}/epics/-")]
    return _Queue(
        questions,
        [
            run
            for run in runs.values()
            if operator_queue.is_halted(run)
            or operator_queue.is_held(run)
            or operator_queue.lacks_something(run, now)
        ],
        list(filter(operator_queue.awaits_operator, epics)),
        list(filter(operator_queue.awaits_choice, tasks)),
    )


@app.command()
def approve(
    attempt: AttemptArgument,
    approval_id: IdArgument = "",
    *,
    message: MessageOption = "",
    always: Annotated[
        Always | None,
        typer.Option(help="Also allows such calls for the rest of the session, or in the whole run."),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="With --always: what to allow, as 'Bash(make *)'. Absent: the same command, file or host.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Approve what an agent asks; with --always also later calls like it."""
    if rule and always is None:
        raise Failure("--rule needs --always session or --always run", BAD_INPUT)
    said = _Answer(approved=True, message=message, scope=_SCOPES[always], rule=rule)
    _answer(attempt, approval_id, said, as_json=as_json)


@app.command()
def deny(
    attempt: AttemptArgument,
    approval_id: IdArgument = "",
    message: MessageOption = "",
    as_json: Json = False,
) -> None:
    """Deny what an agent asks."""
    _answer(attempt, approval_id, _Answer(approved=False, message=message), as_json=as_json)


@app.command()
def revoke(
    run: RunArgument,
    rule: Annotated[
        str, typer.Argument(metavar="PATTERN", help="What was allowed, as listed by `heddle show`.")
    ],
    as_json: Json = False,
) -> None:
    """Take back what `approve --always run` allows in a run: later sessions ask again, running ones keep it."""
    name = resource_names.run_name(run)
    changed = output.run_async(with_client(lambda client: client.revoke_permission(name, rule)))
    if as_json:
        output.print_json(changed)
    else:
        output.line(f"{name.removeprefix('runs/')} no longer allows {words.plain(rule)} in later sessions")


@app.command(name="say")
def send_message(
    attempt: AttemptArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message for the agent.")],
    as_json: Json = False,
) -> None:
    """Send a message to a running agent; the agent reads it at once, or before its next turn."""

    async def said(client: HeddleClient) -> str:
        name = await resource_names.attempt_name(client, attempt)
        await client.send_message(name, text)
        return name

    name = output.run_async(with_client(said))
    if as_json:
        output.print_json(pb.SendMessageResponse())
    else:
        output.line(f"message sent to {name.removeprefix('runs/')}")


@app.command()
def stop(attempt: AttemptArgument, as_json: Json = False) -> None:
    """Stop a session; returns when its agent and all processes of the agent have ended.

    The name of a task stops all of its candidates.
    """

    async def stopped(client: HeddleClient) -> list[pb.Attempt]:
        return [await client.stop_attempt(name) for name in await _to_stop(client, attempt)]

    for ended in output.run_async(with_client(stopped)):
        if as_json:
            output.print_json(ended)
        else:
            output.line(f"{ended.name.removeprefix('runs/')} {words.state(ended)}")


async def _to_stop(client: HeddleClient, text: str) -> list[str]:
    """Returns the attempt that `text` names, or the live attempts of all candidates of the task that it names."""
    if resource_names.attempt_number(text) is None:
        found = await resource_names.candidates_of(client, resource_names.task_name(text))
        latest = [each.latest_attempt for each in found if each.HasField("latest_attempt")]
        if live := [each.name for each in latest if not each.HasField("end_time")]:
            return live
    return [await resource_names.attempt_name(client, text)]


@app.command()
def retry(
    task: TaskArgument,
    *,
    agent: Annotated[str, typer.Option(metavar="NAME", help="Use this agent instead of the task's.")] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="Use this model instead of the task's.")] = "",
    from_here: Annotated[
        bool,
        typer.Option(
            "--from-here", help="Also for an accepted task: redo it and all later tasks of its epic."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the agent's last session with its files."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Retry a failed or skipped task; with --from-here also an accepted one and all later tasks of its epic."""
    name = resource_names.task_name(task)
    epic = str(name.parent)

    async def retried(client: HeddleClient) -> tuple[pb.Task, list[pb.Task]]:
        before = [each for each in await client.list_tasks(epic) if each.commit] if from_here else []
        again = await client.retry_task(
            str(name), agent=agent, model=model, from_here=from_here, resume=resume
        )
        kept = {each.name for each in await client.list_tasks(epic) if each.commit} if before else set()
        return again, [each for each in before if each.name not in kept]

    again, set_aside = output.run_async(with_client(retried))
    _tell_task(again, as_json)
    if set_aside and not as_json:
        commits = ", ".join(f"{each.key} ({each.commit[:10]})" for each in set_aside)
        where = f"refs/heddle/rewound/{name.run}/{name.epic}"
        output.line(f"undone: {commits}; once the next attempt starts, they are kept under {where}/")


@app.command()
def skip(task: TaskArgument, as_json: Json = False) -> None:
    """Skip a pending or failed task; its epic continues without it."""
    name = str(resource_names.task_name(task))
    _tell_task(output.run_async(with_client(lambda client: client.skip_task(name))), as_json)


def _answer(attempt: str, approval_id: str, said: _Answer, *, as_json: bool) -> None:
    async def answered(client: HeddleClient) -> pb.Approval:
        name = await resource_names.attempt_name(client, attempt)
        asked = list((await client.get_attempt(name)).approvals)
        approval = _chosen(name, asked, approval_id)
        await client.resolve_approval(
            name,
            approval.approval_id,
            approved=said.approved,
            message=said.message,
            scope=said.scope,
            rule=said.rule,
        )
        return approval

    approval = output.run_async(with_client(answered))
    if as_json:
        output.print_json(approval)
    else:
        verdict = "approved" if said.approved else "denied"
        output.line(f"{approval.attempt.removeprefix('runs/')} {approval.approval_id} {verdict}")


def _chosen(attempt: str, asked: list[pb.Approval], approval_id: str) -> pb.Approval:
    """Returns the question to answer, even if it is no longer open: an answer may be repeated."""
    if approval_id:
        named = [each for each in asked if each.approval_id == approval_id]
        return named[0] if named else pb.Approval(attempt=attempt, approval_id=approval_id)
    short = attempt.removeprefix("runs/")
    if not asked:
        raise Failure(f"{short} has no open questions; `heddle approvals` lists all")
    if len(asked) > 1:
        listed = "".join(f"\n  {each.approval_id}  {words.plain(each.question)}" for each in asked)
        raise Failure(f"{short} asks {len(asked)} questions; name the ID of one:{listed}", BAD_INPUT)
    return asked[0]


def _tell_task(task: pb.Task, as_json: bool) -> None:
    if as_json:
        output.print_json(task)
    else:
        output.line(f"{task.name.removeprefix('runs/')} {words.state(task)}")
