"""What the browser gets of each message: small plain values, ready for JSON.

Times are milliseconds since 1970, durations seconds, money millionths of a US
dollar; enums are lower-case words. An absent value is None or left out.
"""

from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb

View: TypeAlias = dict[str, Any]

# A card shows the end of a tool's input as one line; the modal reads the whole.
TARGET_CHARACTERS = 300


def run(message: pb.Run) -> View:
    """Returns a run with its counts and money."""
    return {
        "name": message.name,
        "title": message.title,
        "state": _word(pb.RunState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "project": message.project,
        "base_ref": message.base_ref,
        "base_commit": message.base_commit,
        "branch": message.branch,
        "merge_into": message.merge_into,
        "max_parallel": message.max_parallel,
        "budget": message.budget_usd_micros if message.HasField("budget_usd_micros") else None,
        "tasks": counts(message.tasks),
        "epic_count": message.epic_count,
        "usage": usage(message.usage),
        "created": time(message, "create_time"),
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
        "sequence": message.sequence,
    }


def listed_run(message: pb.Run) -> View:
    """Returns a run for the list: without its usage by model."""
    view = run(message)
    view["usage"].pop("models", None)
    return view


def epic(message: pb.Epic) -> View:
    """Returns an epic without its tasks."""
    return {
        "name": message.name,
        "key": message.key,
        "title": message.title,
        "index": message.index,
        "state": _word(pb.EpicState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "depends_on": list(message.depends_on),
        "branch": message.branch,
        "worktree": message.worktree_path,
        "worker": message.worker,
        "head_commit": message.head_commit,
        "merge_commit": message.merge_commit,
        "conflict_files": list(message.conflict_files),
        "tasks": counts(message.tasks),
        "usage": usage(message.usage),
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
    }


def task(message: pb.Task) -> View:
    """Returns a task for the board: with its newest attempt, without its prompt."""
    return {
        "name": message.name,
        "epic": message.name.rpartition("/tasks/")[0],
        "key": message.key,
        "title": message.title,
        "position": message.position,
        "state": _word(pb.TaskState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "agent": message.agent,
        "attempts": message.attempt_count,
        "commit": message.commit,
        "attempt": attempt(message.latest_attempt) if message.HasField("latest_attempt") else None,
    }


def whole_task(message: pb.Task) -> View:
    """Returns a task with what only its modal shows."""
    checks = [{"name": check.name, "run": check.run} for check in message.checks]
    return {**task(message), "prompt": message.prompt, "retries": message.retries, "checks": checks}


def attempt(message: pb.Attempt) -> View:
    """Returns an attempt without what its checks printed."""
    return {
        "name": message.name,
        "state": _word(pb.AttemptState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "worker": message.worker,
        "agent": message.agent,
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
        "commit": message.commit,
        "kept_ref": message.kept_ref,
        "diff": diff_stat(message.diff_stat) if message.HasField("diff_stat") else None,
        "usage": usage(message.usage),
        "checks": [check(each) for each in message.checks],
        "summary": summary(message.summary) if message.HasField("summary") else None,
        "session_sequence": message.session_sequence,
    }


def whole_attempt(message: pb.Attempt) -> View:
    """Returns an attempt with what its checks printed and reported."""
    return {**attempt(message), "checks": [whole_check(each) for each in message.checks]}


def summary(message: pb.SessionSummary) -> View:
    """Returns what a card shows of a session."""
    return {
        "attempt": message.attempt,
        "state": _word(pb.AttemptState.DESCRIPTOR, message.state),
        "tool": tool(message.current_tool) if message.HasField("current_tool") else None,
        "lines": list(message.last_lines),
        "tool_calls": message.tool_calls,
        "tool_errors": message.tool_errors,
        "screenshots": message.screenshots,
        "usage": usage(message.usage),
        "waiting": approval(message.waiting_for) if message.HasField("waiting_for") else None,
        "active": time(message, "last_activity_time"),
    }


def event(message: pb.Event) -> View:
    """Returns an event; `type` is the name of its payload."""
    name = message.WhichOneof("payload")
    view: View = {
        "sequence": message.sequence,
        "time": time(message, "time"),
        "actor": message.actor,
        "type": name,
    }
    if name is not None:
        view.update(_payload(getattr(message, name)))
    return view


def turn(message: pb.Event) -> View:
    """Returns an event of a run's log with the keys of what it belongs to; a check as a card shows it."""
    told = event(message)
    if message.HasField("check_finished"):
        told = {key: told[key] for key in ("sequence", "time", "actor", "type")} | check(
            message.check_finished
        )
    return {
        **told,
        "epic": message.epic,
        "task": message.task,
        "attempt": message.attempt,
    }


def tool(message: pb.ToolStarted) -> View:
    """Returns a tool call for a card: what it is and what it touches."""
    return {
        "id": message.tool_call_id,
        "name": message.name,
        "target": message.target[:TARGET_CHARACTERS],
        "kind": _word(pb.ToolKind.DESCRIPTOR, message.kind),
    }


def approval(message: pb.ApprovalRequested) -> View:
    """Returns a question to the operator."""
    return {
        "id": message.approval_id,
        "question": message.question,
        "tool": message.tool,
        "target": message.target,
    }


def check(message: pb.CheckFinished) -> View:
    """Returns a check as a card shows it: counts, no words."""
    tests, found = message.tests, message.findings
    return {
        "name": message.name,
        "command": message.command,
        "ok": message.ok,
        "exit_code": message.exit_code if message.HasField("exit_code") else None,
        "seconds": seconds(message.duration),
        "tests": {"passed": tests.passed, "failed": tests.failed, "skipped": tests.skipped}
        if message.HasField("tests")
        else None,
        "coverage": {"covered": message.coverage.lines_covered, "valid": message.coverage.lines_valid}
        if message.HasField("coverage")
        else None,
        "findings": {"errors": found.errors, "warnings": found.warnings, "notes": found.notes}
        if message.HasField("findings")
        else None,
    }


def whole_check(message: pb.CheckFinished) -> View:
    """Returns a check with what it printed and what its reports say one by one."""
    return {
        **check(message),
        "output": message.output,
        "failing": list(message.tests.failing),
        "first_findings": [_payload(each) for each in message.findings.first],
        "problems": list(message.report_problems),
    }


def usage(message: pb.UsageTotals) -> View:
    """Returns tokens and money; `cost_incomplete` says that some price is unknown."""
    view: View = {
        "input": message.input_tokens,
        "output": message.output_tokens,
        "cache_read": message.cache_read_tokens,
        "cache_write": message.cache_write_tokens,
        "cost": message.cost_usd_micros,
        "cost_incomplete": message.cost_incomplete,
    }
    if message.models:
        view["models"] = [{"model": each.model, **usage(each.usage)} for each in message.models]
    return view


def counts(message: pb.TaskCounts) -> View:
    """Returns how many tasks are in each state."""
    return {field.name: getattr(message, field.name) for field in pb.TaskCounts.DESCRIPTOR.fields}


def diff_stat(message: pb.DiffStat) -> View:
    """Returns the size of a change."""
    return {"files": message.files, "insertions": message.insertions, "deletions": message.deletions}


def worker(message: pb.Worker) -> View:
    """Returns a worker and the agents that it can start."""
    agents = [
        {"name": each.name, "available": each.available, "version": each.version, "detail": each.detail}
        for each in message.agents
    ]
    return {
        "name": message.name,
        "slots": message.slots,
        "running": message.running_sessions,
        "connected": message.connected,
        "reason": message.reason,
        "agents": agents,
    }


def time(message: Message, field: str) -> int | None:
    """Returns a Timestamp field in milliseconds; None if it is absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.seconds * 1000 + stamp.nanos // 1_000_000


def seconds(message: Duration) -> float:
    """Returns a duration in seconds."""
    return message.seconds + message.nanos / 1e9


def _payload(message: Message) -> View:
    """Returns the set fields of an event's payload under their own names."""
    view: View = {}
    for field, value in message.ListFields():
        if field.enum_type is not None:
            view[field.name] = _word(field.enum_type, value)
        elif isinstance(value, Duration):
            view[field.name] = seconds(value)
        elif isinstance(value, pb.UsageTotals):
            view[field.name] = usage(value)
        elif isinstance(value, Message):
            view[field.name] = _payload(value)
        elif field.is_repeated:
            view[field.name] = [_payload(each) if isinstance(each, Message) else each for each in value]
        else:
            view[field.name] = value
    return view


def _word(enum: EnumDescriptor, number: int) -> str:
    """Returns an enum value as a word: RUN_STATE_PAUSED is "paused"; a number that is not known "unknown"."""
    value = enum.values_by_number.get(number)
    if value is None:
        return "unknown"
    # Every value carries the enum's name as its prefix, as the linter of the contract demands.
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower()
