"""One line of plain words for each event of a run's or a session's log."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from heddle import pb
from heddle.cli.console import words


def line(event: pb.Event) -> str:
    """Returns sequence, time, place and what happened, without a line break."""
    place = "/".join(filter(None, (event.epic, event.task, str(event.attempt or ""))))
    what = " | ".join(describe(event).splitlines())
    return f"{event.sequence:>5}  {words.clock(event.time)}  {f'{place}: ' if place else ''}{what}".rstrip()


def describe(event: pb.Event) -> str:
    """Returns what happened, in words that are safe for a terminal."""
    kind = event.WhichOneof("payload")
    if kind is None:
        return "something that this version of heddle does not know"
    return words.plain(_WORDS[kind](getattr(event, kind)))


def _run_created(event: pb.RunCreated) -> str:
    size = f"{words.count(event.epic_count, 'epic')}, {words.count(event.task_count, 'task')}"
    return f"run created: {event.title} ({size}, at most {event.max_parallel} at once)"


def _worktree_removed(event: pb.WorktreeRemoved) -> str:
    archived = f"; what lay in it is archived as {event.archive_commit[:10]}" if event.archive_commit else ""
    return f"worktree {event.path} removed{archived}"


def _run_finished(event: pb.RunFinished) -> str:
    counts = [
        (event.tasks_accepted, "accepted"),
        (event.tasks_failed, "failed"),
        (event.tasks_skipped, "skipped"),
    ]
    tasks = ", ".join(f"{number} {what}" for number, what in counts if number)
    return _ended("run", event.outcome, event.reason) + (f" ({tasks})" if tasks else "")


def _task_failed(event: pb.TaskFailed) -> str:
    kept = f"; its work is kept at {event.kept_ref}" if event.kept_ref else ""
    when = f" at {words.clock(event.retry_time)}" if event.HasField("retry_time") else ""
    again = f"; another attempt follows{when}" if event.will_retry else ""
    return f"failed: {event.reason or 'no reason given'}{again}{kept}"


def _diff(stat: pb.DiffStat) -> str:
    return f"{words.count(stat.files, 'file')}, +{stat.insertions} -{stat.deletions}"


def _tool(event: pb.ToolStarted) -> str:
    return f"{nested(event)}⚡ {event.name} {event.target}".rstrip()


def _tool_finished(event: pb.ToolFinished) -> str:
    return f"{_mark(event.ok)} tool finished after {words.span(event.duration)}"


def _check(event: pb.CheckFinished) -> str:
    facts = [words.span(event.duration)]
    if event.HasField("tests"):
        facts.append(f"tests: {event.tests.passed} passed, {event.tests.failed} failed")
    if event.coverage.lines_valid:
        facts.append(f"coverage: {event.coverage.lines_covered / event.coverage.lines_valid:.1%}")
    if event.HasField("findings"):
        facts.append(f"findings: {event.findings.errors} errors, {event.findings.warnings} warnings")
    return f"{_mark(event.ok)} check {event.name} ({', '.join(facts)})"


def _usage(event: pb.Usage) -> str:
    about = "~" if event.estimated else ""
    price = f", {about}${event.cost_usd_micros / 1e6:.4f}" if event.HasField("cost_usd_micros") else ""
    return f"usage: {event.model}: {event.input_tokens} in, {event.output_tokens} out{price}"


def _left_out(event: pb.OutputLeftOut) -> str:
    where = "; the end follows" if event.final else " so far"
    more = f"more output than a session stores ({words.size(event.limit_bytes)})"
    return f"{more}: {words.size(event.left_out_bytes)} are left out here{where}"


def _message(event: pb.Message) -> str:
    text = event.text.rstrip("\n")
    return f"operator: {text}" if event.kind == pb.MESSAGE_KIND_OPERATOR else f"{nested(event)}{text}"


def nested(event: pb.ToolStarted | pb.Message) -> str:
    """Returns the mark of what a sub-agent says and does; empty for the agent itself."""
    return "↳ " if event.parent_tool_call_id else ""


def _commands(what: str, event: pb.SetupFinished | pb.TeardownFinished) -> str:
    if event.ok:
        return f"✓ {what} ({words.span(event.duration)})"
    code = f" with exit code {event.exit_code}" if event.HasField("exit_code") else ""
    why = f"'{event.command}' failed{code}" if event.command else "it took too long"
    return f"✗ {what}: {why}\n{event.output}".rstrip()


def _worktree(event: pb.WorktreeCreated) -> str:
    ports = f", ports {', '.join(map(str, event.ports))}" if event.ports else ""
    slot = f" (slot {event.slot}{ports})" if event.slot else ""
    return f"worktree {event.path} on {event.branch}{slot}"


def _approval(event: pb.ApprovalRequested) -> str:
    tool = f" ({event.tool} {event.target})" if event.tool else ""
    return f"asks: {event.question}{tool}"


def _approval_resolved(event: pb.ApprovalResolved) -> str:
    said = f": {event.message}" if event.message else ""
    reach = " in the whole run" if event.scope == pb.APPROVAL_SCOPE_RUN else " for the rest of the session"
    always = f", {event.rule}{reach}" if event.rule else ""
    return f"{'allowed' if event.approved else 'denied'}{always}{said}"


def _conflict(event: pb.MergeConflicted) -> str:
    advice = f":\n{event.advice}" if event.advice else ""
    checks = ", ".join(check.name for check in event.failed_checks)
    what = f"fails its checks ({checks})" if checks else f"conflicts in {', '.join(event.files)}"
    return f"merge into {event.target_branch} {what}{advice}"


def _merge_check(event: pb.MergeCheckFinished) -> str:
    of = f" of {', '.join(event.epics)}" if event.epics else ""
    return f"{_check(event.check)} on the merge{of} into {event.target_branch}"


def _other_side(event: pb.ConflictPredicted | pb.ConflictCleared) -> str:
    return event.with_epic or words.conflict_side(event.side)


def _outside(event: pb.WroteOutside) -> str:
    more = event.path_count - len(event.paths)
    return (
        f"wrote outside what its plan touches: {', '.join(event.paths)}{f', and {more} more' if more else ''}"
    )


def _accepted(event: pb.TaskAccepted) -> str:
    size = "it changed nothing" if event.no_changes else _diff(event.diff_stat)
    return f"accepted as {event.commit[:10]} ({size})"


def _found(event: pb.ChangesFound) -> str:
    after = "/".join(event.after_attempt.split("/")[5::2])
    what = f"changed by no attempt after {after} had ended" if after else "changed, it is not known by whom"
    return f"its worktree was {what} ({_diff(event.diff_stat)}); that is kept at {event.kept_ref}"


def _ignored(event: pb.IgnoredFilesLeft) -> str:
    more = event.count - len(event.paths)
    names = f"{', '.join(event.paths)}{f', and {more} more' if more else ''}"
    return f"git ignores what it also wrote, so its commit lacks it: {names}"


def _surroundings(event: pb.SurroundingsChanged) -> str:
    more = event.count - len(event.paths)
    names = f"{', '.join(event.paths)}{f', and {more} more' if more else ''}"
    also = f"; {words.count(len(event.also_running), 'other session')} ran then" if event.also_running else ""
    return f"outside of its worktree, by it or by somebody else, changed: {names}{also}"


def _dollars(micros: int) -> str:
    return f"${micros / 1e6:.2f}"


def _with_budget(event: pb.RunResumed) -> str:
    return f" with a budget of {_dollars(event.budget_usd_micros)}" if event.budget_usd_micros else ""


def _ended(what: str, outcome: "pb.Outcome.ValueType", reason: str) -> str:
    return f"{what} {words.outcome(outcome)}{f': {reason}' if reason else ''}"


def _mark(ok: bool) -> str:
    return "✓" if ok else "✗"


def _background(work: pb.BackgroundWork) -> str:
    if work.stopped:
        return f"stopped {words.count(work.count, 'background task')}: {'; '.join(work.stopped)}"
    if work.running:
        limit = words.span(work.limit)
        return (
            f"waits up to {limit} for {words.count(work.count, 'background task')}: {'; '.join(work.running)}"
        )
    return "nothing runs in the background any more"


# Any: each takes the message of its own kind.
_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "run_created": _run_created,
    "run_started": lambda _: "run started",
    "run_paused": lambda e: f"run paused{f': {e.reason}' if e.reason else ''}",
    "run_resumed": lambda e: f"run resumed{_with_budget(e)}",
    "run_finished": _run_finished,
    "run_updated": lambda e: f"at most {words.count(e.max_parallel, 'session')} at once from now on",
    "epic_ready": lambda _: "ready",
    "epic_started": lambda e: f"epic started: {e.title}",
    "epic_finished": lambda e: _ended("epic", e.outcome, e.reason),
    "worktree_created": _worktree,
    "worktree_removed": _worktree_removed,
    "worktree_restored": lambda e: f"worktree {e.path} restored from {e.archive_commit[:10]}",
    "teardown_finished": lambda e: _commands("teardown", e),
    "task_started": lambda e: f"started: {e.title} ({e.agent} on {e.worker})",
    "task_waiting": lambda e: e.reason if e.HasField("until") else f"waits for you: {e.reason}",
    "task_accepted": _accepted,
    "changes_found": _found,
    "ignored_files_left": _ignored,
    "task_failed": _task_failed,
    "task_added": lambda e: f"added: {e.title}",
    "task_reopened": lambda e: f"to be done anew{f', {e.commit[:10]} is set aside' if e.commit else ''}",
    "task_skipped": lambda e: f"skipped: {e.reason}",
    "setup_finished": lambda e: _commands("setup", e),
    "session_started": lambda e: f"session started: {e.agent} (pid {e.process_id})",
    "output": lambda e: e.text.rstrip("\n"),
    "output_left_out": _left_out,
    "tool_started": _tool,
    "tool_finished": _tool_finished,
    "message": _message,
    "screenshot": lambda e: f"screenshot: {e.caption} ({e.size_bytes} bytes)",
    "usage": _usage,
    "check_finished": _check,
    "approval_requested": _approval,
    "approval_resolved": _approval_resolved,
    "session_silent": lambda e: f"silent for {words.span(e.silence)}, at {words.span(e.limit)} it is stopped",
    "background_work": _background,
    "agent_session": lambda e: f"the agent's own session: {e.command or e.id}",
    "surroundings_changed": _surroundings,
    "session_finished": lambda e: _ended("session", e.outcome, e.reason),
    "conflict_predicted": lambda e: f"will conflict with {_other_side(e)} in {', '.join(e.files)}",
    "conflict_cleared": lambda e: f"will no longer conflict with {_other_side(e)}",
    "wrote_outside": _outside,
    "merge_waiting": lambda e: f"waits for you to merge it into {e.target_branch}, or to drop it",
    "merge_requested": lambda _: "is to be merged",
    "merge_check_finished": _merge_check,
    "merge_started": lambda e: f"merging {e.source_branch} into {e.target_branch}",
    "merge_finished": lambda e: f"merged into {e.target_branch} as {e.commit[:10]}",
    "merge_conflicted": _conflict,
    "environment_fault": lambda e: f"waits for its environment, without using up a retry: {e.message}",
    "environment_recovered": lambda e: f"continues: what was missing is back after {words.span(e.waited)}",
    "merge_held": lambda e: f"the merge into {e.target_branch} waits: {e.reason}",
    "push_failed": lambda e: f"{e.branch} could not be pushed: {e.error}",
    "budget_reached": lambda e: (
        f"budget of {_dollars(e.budget_usd_micros)} reached, {_dollars(e.spent_usd_micros)} spent"
    ),
    "hold_lifted": lambda e: f"no longer waits for {e.provider}",
    "worker_joined": lambda e: f"worker {e.worker} joined with {words.count(e.slots, 'slot')}",
    "worker_full": lambda e: f"worker {e.worker} takes no new work: {e.reason}",
    "worker_lost": lambda e: f"worker {e.worker} lost: {e.reason}",
}
