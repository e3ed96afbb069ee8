"""Runs, epics, tasks and open questions as tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from heddle import pb, waiting
from heddle.cli import words
from heddle.cli.board import STYLES

# Columns whose text may take several lines.
_WRAPPED: Final = {
    "WHY",
    "PROJECT",
    "QUESTION",
    "FILES",
    "OUTSIDE",
    "TOUCHED NOTHING IN",
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
            Text(run.title),
            Text(run.project),
        )
    return table


def tasks(epics: Sequence[pb.Epic], listed: Sequence[pb.Task], now: datetime) -> Table:
    """Returns a row for each epic, and below it one for each of its tasks in planned order."""
    table = _table("EPIC / TASK", "STATE", "TITLE", "TRIES", "TIME", "COST", "COMMIT", "WHY")
    for epic in epics:
        done = f"{epic.tasks.accepted}/{epic.tasks.total}"
        took = words.elapsed(epic.start_time, epic.end_time, now)
        why = Text(words.plain(", ".join(epic.conflict_files) or epic.reason))
        commit = epic.merge_commit[:10]
        table.add_row(
            Text(epic.key, style="bold"),
            _state(epic),
            Text(epic.title),
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
            short_attempt(each.attempt),
            Text(each.approval_id),
            words.elapsed(each.request_time, Timestamp(), now),
            words.remaining(each.deny_time, now),
            Text(words.plain(each.question)),
        )
    return table


def halted(runs: Iterable[pb.Run], epics: Iterable[pb.Epic], now: datetime) -> Table:
    """Returns a row for each run or epic that stands still until its operator answers with a command."""
    table = _table("WAITS FOR YOU", "SINCE", "ANSWER WITH", "WHY")
    for epic in epics:
        since = epic.end_time if epic.HasField("end_time") else epic.start_time
        commands = "merge, drop" if waiting.awaits_merge(epic) else "resolve, merge, drop"
        table.add_row(
            Text(short_epic(epic.name)),
            words.elapsed(since, Timestamp(), now),
            "" if waiting.is_held(epic) else commands,
            Text(words.plain(waiting.merge_reason(epic))),
        )
    for run in runs:
        answer, why = ("", run.merge_hold) if waiting.is_held(run) else ("resume", run.reason)
        table.add_row(Text(run.name.removeprefix("runs/")), "", answer, Text(words.plain(why)))
    return table


def predicted_conflicts(foreseen: Iterable[pb.PredictedConflict]) -> Table:
    """Returns a row for each pair that will conflict."""
    table = _table("EPIC", "CONFLICTS WITH", "SINCE", "FIRST TASK", "FILES")
    for each in foreseen:
        table.add_row(
            Text(each.epic),
            Text(each.with_epic or words.conflict_side(each.side)),
            words.clock(each.since),
            Text("/".join(each.first_task.split("/")[3::2])),
            Text(words.plain(", ".join(each.files))),
        )
    return table


def footprints(written: Iterable[pb.EpicFootprint]) -> Table:
    """Returns a row for each epic: how many paths it wrote, and which of them its plan did not foresee."""
    table = _table("EPIC", "WROTE", "FORESEEN", "OUTSIDE", "TOUCHED NOTHING IN")
    for each in written:
        inside = len(each.paths) - len(each.outside)
        table.add_row(
            Text(each.epic),
            str(each.path_count),
            f"{inside / len(each.paths):.0%}" if each.touches and each.paths else "",
            Text(words.plain(", ".join(each.outside))),
            Text(words.plain(", ".join(each.unused_touches))),
        )
    return table


def merge_queue(entries: Iterable[pb.MergeQueueEntry]) -> Table:
    """Returns a row for each branch on its way into its target."""
    table = _table("MERGE", "STAGE", "INTO", "COMMIT", "WAITS FOR")
    for each in entries:
        table.add_row(
            Text(each.epic or each.source_branch),
            words.merge_stage(each.stage),
            Text(each.target_branch),
            each.commit[:10],
            Text(words.plain(each.waits_for)),
        )
    return table


def worktrees(found: Iterable[pb.EpicWorktree], now: datetime) -> Table:
    """Returns a row for each worktree, there or archived."""
    table = _table("WORKTREE", "EPIC IS", "HOLDS", "SIZE", "AGE", "GOES", "BRANCH", "PATH")
    for each in found:
        table.add_row(
            Text(short_epic(each.name)),
            words.epic_state(each.epic_state),
            words.holds(each),
            words.size(each.disk_bytes) if each.HasField("disk_bytes") else "",
            words.elapsed(each.create_time, Timestamp(), now),
            words.goes(each, now),
            Text(each.branch),
            Text(words.plain(each.problem or each.path)),
        )
    return table


def short_epic(name: str) -> str:
    """Returns RUN/EPIC of anything that lies below an epic."""
    return "/".join(name.split("/")[1:4:2])


def short_attempt(name: str) -> str:
    """Returns RUN/EPIC/TASK/N."""
    return "/".join(name.split("/")[1::2])


def _task(task: pb.Task, now: datetime) -> list[str | Text]:
    newest = task.latest_attempt
    return [
        Text(f"  {task.key}"),
        _state(task),
        Text(task.title),
        str(task.attempt_count or ""),
        words.elapsed(newest.start_time, newest.end_time, now),
        words.cost(newest.usage),
        task.commit[:10],
        Text(words.plain(task.reason or newest.reason)),
    ]


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=heading not in _WRAPPED)
    return table


def _state(resource: pb.Run | pb.Epic | pb.Task) -> Text:
    word = words.state(resource)
    return Text(word, style=STYLES.get(word, ""))
