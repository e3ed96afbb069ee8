"""Runs, epics, tasks and open questions as tables."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from heddle import operator_queue, pb
from heddle.cli.console import words
from heddle.cli.console.run_board import STYLES
from heddle.cli.console.safe_output import SafeText

# Columns whose text may wrap.
_WRAPPED: Final = {
    "WHY",
    "PROJECT",
    "QUESTION",
    "FILES",
    "OUTSIDE",
    "UNUSED TOUCHES",
    "WAITS FOR",
    "PATH",
}


def runs(listed: Iterable[pb.Run], now: datetime) -> Table:
    """Returns a row for each run."""
    table = _table("RUN", "STATE", "TASKS", "COST", "TIME", "PLAN", "PROJECT")
    for run in listed:
        table.add_row(
            run.name.removeprefix("runs/"),
            _state(run),
            f"{run.tasks.accepted}/{run.tasks.total}",
            words.cost(run.usage),
            words.elapsed(run.start_time, run.end_time, now),
            SafeText(run.title),
            SafeText(run.project),
        )
    return table


def schedules(listed: Iterable[pb.Schedule], now: datetime) -> Table:
    """Returns a row for each schedule."""
    table = _table("SCHEDULE", "CRON", "TIME ZONE", "NEXT", "LAST RUN", "PROJECT", "WHY")
    for each in listed:
        table.add_row(
            each.name.removeprefix("schedules/"),
            SafeText(each.cron),
            SafeText(each.time_zone),
            "paused" if each.paused else words.moment(each.next_time, now),
            each.last_run.removeprefix("runs/"),
            SafeText(each.project),
            SafeText(words.plain(each.problem)),
        )
    return table


def tasks(epics: Sequence[pb.Epic], listed: Sequence[pb.Task], now: datetime) -> Table:
    """Returns a row for each epic, and below it one for each of its tasks in planned order."""
    table = _table("EPIC / TASK", "STATE", "TITLE", "ATTEMPTS", "TIME", "COST", "COMMIT", "WHY")
    for epic in epics:
        done = f"{epic.tasks.accepted}/{epic.tasks.total}"
        took = words.elapsed(epic.start_time, epic.end_time, now)
        moved = words.moved(epic.last_move) if epic.HasField("last_move") else ""
        why = SafeText(words.plain(", ".join(epic.conflict_files) or epic.reason or epic.waits_for or moved))
        commit = epic.merge_commit[:10]
        table.add_row(
            SafeText(epic.key, style="bold"),
            _state(epic),
            SafeText(epic.title),
            done,
            took,
            words.cost(epic.usage),
            commit,
            why,
        )
        for task in listed:
            if task.name.startswith(f"{epic.name}/tasks/"):
                table.add_row(*_task(task, now))
    return table


def approvals(asked: Iterable[pb.Approval], now: datetime) -> Table:
    """Returns a row for each open question."""
    table = _table("ATTEMPT", "ID", "WAITS", "DENIED IN", "QUESTION")
    for each in asked:
        table.add_row(
            short_name(each.attempt),
            SafeText(each.approval_id),
            words.elapsed(each.request_time, Timestamp(), now),
            words.remaining(each.deny_time, now),
            SafeText(words.plain(each.question)),
        )
    return table


def halted(
    runs: Iterable[pb.Run], epics: Iterable[pb.Epic], now: datetime, choices: Iterable[pb.Task] = ()
) -> Table:
    """Returns a row for each run, epic or choice of a candidate that needs an answer from the operator."""
    table = _table("NEEDS ANSWER", "SINCE", "COMMAND", "WHY")
    for task in choices:
        table.add_row(SafeText(short_name(task.name)), "", "choose", SafeText(words.plain(task.reason)))
    for epic in epics:
        since = epic.end_time if epic.HasField("end_time") else epic.start_time
        commands = "merge, drop" if operator_queue.awaits_merge(epic) else "resolve, merge, drop"
        if operator_queue.is_over_budget(epic):
            commands = "resume"
        elif operator_queue.is_out_of_sync(epic):
            commands = "resolve, sync"
        table.add_row(
            SafeText(short_epic(epic.name)),
            words.elapsed(since, Timestamp(), now),
            "" if operator_queue.is_held(epic) else commands,
            SafeText(words.plain(operator_queue.merge_reason(epic))),
        )
    for run in runs:
        command, why = "resume", run.reason
        if operator_queue.is_held(run):
            command, why = "", run.merge_hold
        elif not operator_queue.is_halted(run):
            # No command helps with a fault: the run continues once it is resolved.
            command, why = "" if run.fault else "push", operator_queue.lacks(run)
        table.add_row(SafeText(run.name.removeprefix("runs/")), "", command, SafeText(words.plain(why)))
    return table


def holds(found: Iterable[pb.Hold], now: datetime) -> Table:
    """Returns a row for each provider on hold."""
    table = _table("PROVIDER", "CAUSE", "RESUMES", "HELD FOR", "TASKS", "RUNS", "REASON")
    for each in found:
        table.add_row(
            SafeText(words.plain(each.provider)),
            words.outcome(each.cause),
            words.moment(each.until, now) or "when lifted",
            words.elapsed(each.create_time, Timestamp(), now),
            str(each.waiting_tasks or ""),
            SafeText(", ".join(run.removeprefix("runs/") for run in each.runs)),
            SafeText(words.plain(each.reason)),
        )
    return table


def workers(found: Iterable[pb.Worker]) -> Table:
    """Returns a row for each worker."""
    table = _table("WORKER", "STATE", "SESSIONS", "AGENTS", "LABELS", "REASON")
    for worker in found:
        agents = [agent.name for agent in worker.agents if agent.available]
        table.add_row(
            SafeText(worker.name.removeprefix("workers/")),
            words.worker_state(worker),
            f"{worker.running_sessions}/{worker.slots}",
            SafeText(", ".join(agents)),
            SafeText(", ".join(f"{key}={label}" for key, label in sorted(worker.labels.items()))),
            SafeText(words.plain(worker.reason or worker.full)),
        )
    return table


def tokens(found: Iterable[pb.Token], now: datetime) -> Table:
    """Returns the table of tokens and signed-in browsers."""
    table = _table("TOKEN", "USER", "ROLE", "FOR", "PROJECTS", "EXPIRES")
    for token in found:
        table.add_row(
            SafeText(token.name.removeprefix("tokens/")),
            SafeText(token.user),
            pb.Role.Name(token.role).removeprefix("ROLE_").lower(),
            SafeText(token.title),
            SafeText(", ".join(token.projects) or "all"),
            words.moment(token.expire_time, now) if token.HasField("expire_time") else "never",
        )
    return table


def audit_entries(found: Iterable[pb.AuditEntry]) -> Table:
    """Returns the table of changes and refusals."""
    table = _table("TIME", "USER", "CALL", "RESOURCE", "FROM", "RESULT")
    for entry in found:
        table.add_row(
            words.date_and_time(entry.time),
            SafeText(entry.user or "unknown"),
            SafeText(entry.method.rpartition(".")[2]),
            SafeText(entry.resource),
            SafeText(entry.peer),
            SafeText(f"refused: {entry.refusal}" if entry.refusal else entry.detail or "done"),
        )
    return table


def predicted_conflicts(foreseen: Iterable[pb.PredictedConflict]) -> Table:
    """Returns a row for each predicted conflict."""
    table = _table("EPIC", "CONFLICTS WITH", "SINCE", "FIRST TASK", "FILES")
    for each in foreseen:
        table.add_row(
            SafeText(each.epic),
            SafeText(each.with_epic or words.conflict_side(each.side)),
            words.clock(each.since),
            SafeText("/".join(each.first_task.split("/")[3::2])),
            SafeText(words.plain(", ".join(each.files))),
        )
    return table


def footprints(written: Iterable[pb.EpicFootprint]) -> Table:
    """Returns a row for each epic: how many paths it wrote, and which of them are outside its `touches`."""
    table = _table("EPIC", "WROTE", "PLANNED", "OUTSIDE", "UNUSED TOUCHES")
    for each in written:
        inside = len(each.paths) - len(each.outside)
        table.add_row(
            SafeText(each.epic),
            str(each.path_count),
            f"{inside / len(each.paths):.0%}" if each.touches and each.paths else "",
            SafeText(words.plain(", ".join(each.outside))),
            SafeText(words.plain(", ".join(each.unused_touches))),
        )
    return table


def merge_queue(entries: Iterable[pb.MergeQueueEntry]) -> Table:
    """Returns a row for each branch in the merge queue."""
    table = _table("MERGE", "STAGE", "INTO", "COMMIT", "WAITS FOR")
    for each in entries:
        table.add_row(
            SafeText(each.epic or each.source_branch),
            words.merge_stage(each.stage),
            SafeText(each.target_branch),
            each.commit[:10],
            SafeText(words.plain(each.waits_for)),
        )
    return table


def worktrees(found: Iterable[pb.EpicWorktree], now: datetime) -> Table:
    """Returns a row for each worktree, present or archived."""
    table = _table("WORKTREE", "EPIC STATE", "CONTENT", "SIZE", "AGE", "REMOVED", "BRANCH", "PATH")
    for each in found:
        table.add_row(
            SafeText(short_epic(each.name)),
            words.epic_state(each.epic_state),
            words.holds(each),
            words.size(each.disk_bytes) if each.HasField("disk_bytes") else "",
            words.elapsed(each.create_time, Timestamp(), now),
            words.goes(each, now),
            SafeText(each.branch),
            SafeText(words.plain(each.problem or each.path)),
        )
    return table


def short_epic(name: str) -> str:
    """Returns RUN/EPIC for the name of an epic or anything below it."""
    return "/".join(name.split("/")[1:4:2])


def short_name(name: str) -> str:
    """Returns RUN/EPIC/TASK/N for the name of an attempt, and RUN/EPIC/TASK for that of a task."""
    return "/".join(name.split("/")[1::2])


def _task(task: pb.Task, now: datetime) -> list[str | SafeText]:
    newest = task.latest_attempt
    return [
        SafeText(f"{'    ' if task.candidate else '  '}{task.key}"),
        _state(task),
        SafeText(task.title),
        str(task.attempt_count or ""),
        words.elapsed(newest.start_time, newest.end_time, now),
        words.cost(newest.usage),
        task.commit[:10],
        SafeText(words.plain(_why(task))),
    ]


def _why(task: pb.Task) -> str:
    """Returns why a task is in its state; of a candidate that has passed, its score and what was decided."""
    if task.chosen_candidate and not task.reason:
        return f"candidate {task.chosen_candidate} was chosen"
    score = f"score {task.score:g}" if task.HasField("score") else ""
    return ", ".join(filter(None, (score, task.reason or task.latest_attempt.reason)))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=heading not in _WRAPPED)
    return table


def _state(resource: pb.Run | pb.Epic | pb.Task) -> SafeText:
    word = words.state(resource)
    return SafeText(word, style=STYLES.get(word, ""))


def context_fills(tasks: Iterable[pb.Task]) -> Iterator[str]:
    """Yields the context usage of each running session whose agent reports it."""
    for task in tasks:
        attempt = task.latest_attempt
        if attempt.summary.context_tokens and not attempt.HasField("end_time"):
            yield f"{short_name(task.name)}: {words.context(attempt.summary)}"


def sources(listed: Iterable[pb.Task]) -> Iterator[str]:
    """Yields a line for each task whose plan says where its work is described."""
    for task in listed:
        if task.source:
            yield f"{short_name(task.name)} is from {words.plain(task.source)}"


def own_sessions(tasks: Iterable[pb.Task]) -> Iterator[str]:
    """Yields how to open the agent's own session of each task that is not accepted, and how to resume failed ones."""
    for task in tasks:
        session = task.latest_attempt.agent_session
        if not session.id or task.state == pb.TASK_STATE_ACCEPTED:
            continue
        short = short_name(task.name)
        opened = f": {words.plain(session.command)}" if session.command else ""
        yield f"{short}: the agent's own session is {words.plain(session.id)}{opened}"
        if task.state == pb.TASK_STATE_FAILED:
            yield f"  to continue it: heddle retry {short} --resume"


def choices(tasks: Iterable[pb.Task]) -> Iterator[str]:
    """Yields how to choose a candidate of each task that waits for that."""
    for task in filter(operator_queue.awaits_choice, tasks):
        short = short_name(task.name)
        yield f"{short}: {task.reason}: heddle diff {short}@N shows one, heddle choose {short} N chooses it"


def reviewed(tasks: Iterable[pb.Task]) -> Iterator[str]:
    """Yields how to read what reviewers found, if tasks have reviews and one has been worked on."""
    run = next((task.name.split("/")[1] for task in tasks if task.reviews and task.attempt_count), "")
    if run:
        yield f"reviews: heddle reviews {run}"
