"""Event descriptions in English: the only place where an event becomes a sentence.

The command line, the web app and its report use it. The sentences contain agent text unescaped:
the caller must escape them for its output.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from heddle import pb
from heddle.readable import conflict_side, count, dollars, moved, outcome, size, span, waits


def describe(event: pb.Event) -> str:
    """Returns a description of the event, without its place and time.

    It contains line breaks only if a text in the payload does.
    """
    kind = event.WhichOneof("payload")
    if kind is None:
        return "an event that this version of Heddle does not know"
    if kind == "task_failed":
        return _task_failed(event)
    return _WORDS[kind](getattr(event, kind))


def explain(event: pb.Event) -> str:
    """Returns the description and, on further lines, help to fix a failed setup, teardown or merge."""
    kind = event.WhichOneof("payload")
    field = _EXPLANATIONS.get(kind or "")
    more = getattr(getattr(event, kind), field) if kind and field else ""
    return f"{describe(event)}\n{more}".rstrip() if more else describe(event)


def nested(event: pb.ToolStarted | pb.Message) -> str:
    """Returns the prefix for messages and tool calls of a sub-agent; empty for the main agent."""
    return "↳ " if event.parent_tool_call_id else ""


def _run_created(event: pb.RunCreated) -> str:
    amount = f"{count(event.epic_count, 'epic')}, {count(event.task_count, 'task')}"
    return (
        f"run created: {event.title} ({amount}, at most {count(event.max_parallel, 'session')} in parallel)"
    )


def _plan_applied(event: pb.PlanApplied) -> str:
    fields = f": {', '.join(event.fields)}" if event.fields else ""
    return f"plan changed to revision {event.revision}{fields}"


def _run_resumed(event: pb.RunResumed) -> str:
    budget = f" with a budget of {dollars(event.budget_usd_micros)}" if event.budget_usd_micros else ""
    return f"run resumed{budget}"


def _run_finished(event: pb.RunFinished) -> str:
    counts = [
        (event.tasks_accepted, "accepted"),
        (event.tasks_failed, "failed"),
        (event.tasks_skipped, "skipped"),
    ]
    tasks = ", ".join(f"{number} {what}" for number, what in counts if number)
    return _ended("run", event) + (f" ({tasks})" if tasks else "")


def _ended(what: str, event: pb.RunFinished | pb.EpicFinished | pb.SessionFinished) -> str:
    return f"{what} {outcome(event.outcome)}{f': {event.reason}' if event.reason else ''}"


def _session_finished(event: pb.SessionFinished) -> str:
    if event.outcome == pb.OUTCOME_PARKED:
        return "session paused until its question is answered"
    return _ended("session", event)


def _worktree_created(event: pb.WorktreeCreated) -> str:
    ports = f", ports {', '.join(map(str, event.ports))}" if event.ports else ""
    slot = f" (slot {event.slot}{ports})" if event.slot else ""
    return f"worktree {event.path} created for branch {event.branch}{slot}"


def _worktree_removed(event: pb.WorktreeRemoved) -> str:
    archived = f"; its contents are archived as {event.archive_commit[:10]}" if event.archive_commit else ""
    return f"worktree {event.path} removed{archived}"


def _project_commands(what: str, event: pb.SetupFinished | pb.TeardownFinished) -> str:
    if event.ok:
        return f"✓ {what} ({span(event.duration)})"
    code = f" with exit code {event.exit_code}" if event.HasField("exit_code") else ""
    why = f"'{event.command}' failed{code}" if event.command else "time limit exceeded"
    return f"✗ {what}: {why}"


def _task_waiting(event: pb.TaskWaiting) -> str:
    return event.reason if event.HasField("until") else f"waits for you: {event.reason}"


def _review_finished(event: pb.ReviewFinished) -> str:
    found = [
        count(number, word)
        for number, word in ((event.errors, "error"), (event.warnings, "warning"), (event.notes, "note"))
        if number
    ]
    verdict = "rejected" if event.rejected else "passed"
    return f"review by {event.agent} {verdict} attempt {event.attempt}: {', '.join(found) or 'nothing found'}"


def _candidate_passed(e: pb.CandidatePassed) -> str:
    score = f", score {e.score:g}" if e.HasField("score") else ""
    return f"candidate passed, {_diff(e.diff_stat)}{score}"


def _candidate_chosen(e: pb.CandidateChosen) -> str:
    by = f" by {e.agent}" if e.agent else ""
    return f"candidate {e.candidate} chosen{by}{': ' if e.reason else ''}{e.reason}"


def _task_accepted(event: pb.TaskAccepted) -> str:
    if not event.commit:
        # A draft, which makes no commit.
        return "accepted"
    change = "no changes" if event.no_changes else _diff(event.diff_stat)
    return f"accepted as {event.commit[:10]} ({change})"


def _diff(stat: pb.DiffStat) -> str:
    return f"{count(stat.files, 'file')}, +{stat.insertions} -{stat.deletions}"


def _changes_found(event: pb.ChangesFound) -> str:
    after = "/".join(event.after_attempt.split("/")[5::2])
    whose = f"after {after} had ended" if after else "by an unknown author"
    return f"worktree changed {whose} ({_diff(event.diff_stat)}); the changes are stored at {event.kept_ref}"


def _submodules_not_filled(event: pb.SubmodulesNotFilled) -> str:
    named = "; ".join(f"{each.path} ({each.reason})" for each in event.submodules)
    more = event.count - len(event.submodules)
    others = f"; and {more} more" if more > 0 else ""
    return (
        f"submodules that could not be filled, so the agent does not have their files: {named}{others}."
        " Update them in your checkout (git submodule update --init --recursive), then retry the task"
    )


def _task_failed(whole: pb.Event) -> str:
    event = whole.task_failed
    kept = f"; its work is stored at {event.kept_ref}" if event.kept_ref else ""
    again = "; another attempt follows" if event.will_retry else ""
    if event.HasField("retry_time"):
        wait = (event.retry_time.ToNanoseconds() - whole.time.ToNanoseconds()) / 1e9
        again += f" in {span(max(0.0, wait))}"
    return f"failed: {event.reason or 'no reason given'}{again}{kept}"


def _task_reopened(event: pb.TaskReopened) -> str:
    return f"reopened{f'; commit {event.commit[:10]} is set aside' if event.commit else ''}"


def _message(event: pb.Message) -> str:
    text = event.text.rstrip("\n")
    return f"operator: {text}" if event.kind == pb.MESSAGE_KIND_OPERATOR else f"{nested(event)}{text}"


def _output_left_out(event: pb.OutputLeftOut) -> str:
    where = "; the end follows" if event.final else " so far"
    limit = size(event.limit_bytes)
    return (
        f"output exceeds what a session stores ({limit}): {size(event.left_out_bytes)} left out here{where}"
    )


def _tool_started(event: pb.ToolStarted) -> str:
    return f"{nested(event)}⚡ {event.name} {event.target}".rstrip()


def _tool_finished(event: pb.ToolFinished) -> str:
    return f"✓ done in {span(event.duration)}" if event.ok else f"✗ failed after {span(event.duration)}"


def _usage(event: pb.Usage) -> str:
    about = "~" if event.estimated else ""
    price = f", {about}${event.cost_usd_micros / 1e6:.4f}" if event.HasField("cost_usd_micros") else ""
    return f"{event.model or 'model'}: {event.input_tokens} tokens in, {event.output_tokens} out{price}"


def _check(event: pb.CheckFinished) -> str:
    facts = [span(event.duration)]
    if event.HasField("tests"):
        facts.append(f"tests: {event.tests.passed} passed, {event.tests.failed} failed")
    if event.coverage.lines_valid:
        facts.append(f"coverage: {event.coverage.lines_covered / event.coverage.lines_valid:.1%}")
    if event.HasField("findings"):
        errors, warnings = event.findings.errors, event.findings.warnings
        facts.append(f"findings: {count(errors, 'error')}, {count(warnings, 'warning')}")
    return f"{'✓' if event.ok else '✗'} check {event.name} ({', '.join(facts)})"


def _approval_requested(event: pb.ApprovalRequested) -> str:
    tool = f" ({' '.join(filter(None, (event.tool, event.target)))})" if event.tool else ""
    return f"asks: {event.question}{tool}"


def _approval_resolved(event: pb.ApprovalResolved) -> str:
    scope = "in the whole run" if event.scope == pb.APPROVAL_SCOPE_RUN else "for the rest of the session"
    always = f", {event.rule} {scope}" if event.rule else ""
    message = f": {event.message}" if event.message else ""
    return f"{'allowed' if event.approved else 'denied'}{always}{message}"


def _session_silent(event: pb.SessionSilent) -> str:
    return f"no activity for {span(event.silence)}; the session is stopped at {span(event.limit)}"


def _background_work(event: pb.BackgroundWork) -> str:
    tasks = count(event.count, "background task")
    if event.stopped:
        return f"stopped {tasks}: {'; '.join(event.stopped)}"
    if event.running:
        return f"waits up to {span(event.limit)} for {tasks}: {'; '.join(event.running)}"
    return "no background task is running any more"


def _agent_session(event: pb.AgentSession) -> str:
    return f"agent session {event.id}{f', open it with: {event.command}' if event.command else ''}"


def _surroundings_changed(event: pb.SurroundingsChanged) -> str:
    others = count(len(event.also_running), "other session")
    also = f" ({others} ran at the same time)" if event.also_running else ""
    return f"files outside the worktree changed during the session{also}: {_first(event.paths, event.count)}"


def _first(names: Sequence[str], number: int) -> str:
    more = number - len(names)
    return f"{', '.join(names)}{f', and {more} more' if more > 0 else ''}"


def _other_side(event: pb.ConflictPredicted | pb.ConflictCleared) -> str:
    return event.with_epic or conflict_side(event.side)


def _merge_conflicted(event: pb.MergeConflicted) -> str:
    if event.failed_checks:
        checks = ", ".join(check.name for check in event.failed_checks)
        return f"merged with {event.target_branch}, it fails its checks ({checks})"
    return f"conflicts with {event.target_branch} in {', '.join(event.files)}"


def _sync_requested(event: pb.SyncRequested) -> str:
    if event.cancelled:
        return f"continues without new commits of {event.branch}"
    resolved = "; an agent resolves the conflict" if event.resolve else ""
    return f"takes in new commits of {event.branch} before the next attempt{resolved}"


def _sync_finished(event: pb.SyncFinished) -> str:
    if event.problem:
        return f"continues without new commits of {event.branch}: {event.problem}"
    if event.conflicts:
        return f"{event.branch} conflicts; the agent resolves that first"
    commits = count(event.commit_count, "new commit")
    return f"took in {event.branch} at {event.commit[:10]} ({commits})"


def _merge_check(event: pb.MergeCheckFinished) -> str:
    of = f" of {', '.join(event.epics)}" if event.epics else ""
    return f"{_check(event.check)} on the merge{of} into {event.target_branch}"


def _budget_reached(event: pb.BudgetReached) -> str:
    return f"budget of {dollars(event.budget_usd_micros)} reached, {dollars(event.spent_usd_micros)} spent"


# Any: each function takes the message of its kind. task_failed also needs the event's time.
_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "run_created": _run_created,
    "run_started": lambda _: "run started",
    "run_paused": lambda e: f"run paused{f': {e.reason}' if e.reason else ''}",
    "run_resumed": _run_resumed,
    "run_finished": _run_finished,
    "run_updated": lambda e: f"limit changed: at most {count(e.max_parallel, 'session')} in parallel",
    "plan_applied": _plan_applied,
    "permission_revoked": lambda e: f"no longer allowed in the run: {e.rule}",
    "epic_added": lambda e: f"epic added: {e.title} ({count(e.task_count, 'task')})",
    "epic_changed": lambda e: f"plan changed: {', '.join(e.fields)}",
    "epic_removed": lambda e: f"epic removed from the plan: {e.title}",
    "run_moved": lambda e: f"merges moved to {e.to_worker} after {e.from_worker} was lost",
    "epic_moved": moved,
    "epic_waits": lambda e: e.reason or "no longer waits for a place",
    "epic_ready": lambda _: "ready",
    "epic_started": lambda e: f"epic started: {e.title}",
    "epic_finished": lambda e: _ended("epic", e),
    "worktree_created": _worktree_created,
    "worktree_removed": _worktree_removed,
    "worktree_restored": lambda e: f"worktree {e.path} restored from {e.archive_commit[:10]}",
    "teardown_finished": lambda e: _project_commands("teardown", e),
    "task_started": lambda e: f"started: {e.title} ({e.agent} on {e.worker})",
    "task_waiting": _task_waiting,
    "review_requested": lambda e: f"review by {e.agent} requested, round {e.round} ({_diff(e.diff_stat)})",
    "review_finished": _review_finished,
    "candidates_started": lambda e: f"{e.count} candidates start",
    "candidate_passed": _candidate_passed,
    "candidate_chosen": _candidate_chosen,
    "task_accepted": _task_accepted,
    "task_skipped": lambda e: f"skipped: {e.reason}",
    "task_added": lambda e: f"added: {e.title}",
    "task_changed": lambda e: f"plan changed: {', '.join(e.fields)}",
    "task_removed": lambda e: f"removed from the plan: {e.title}",
    "task_reopened": _task_reopened,
    "changes_found": _changes_found,
    "ignored_files_left": lambda e: f"not in the commit, as git ignores them: {_first(e.paths, e.count)}",
    "submodules_not_filled": _submodules_not_filled,
    "setup_finished": lambda e: _project_commands("setup", e),
    "session_started": lambda e: f"session started: {e.agent} (pid {e.process_id})",
    "output": lambda e: e.text.rstrip("\n"),
    "output_left_out": _output_left_out,
    "tool_started": _tool_started,
    "tool_finished": _tool_finished,
    "message": _message,
    "screenshot": lambda e: f"screenshot: {e.caption or 'no caption'} ({size(e.size_bytes)})",
    "usage": _usage,
    "check_finished": _check,
    "approval_requested": _approval_requested,
    "approval_resolved": _approval_resolved,
    "session_silent": _session_silent,
    "background_work": _background_work,
    "agent_session": _agent_session,
    "surroundings_changed": _surroundings_changed,
    "session_finished": _session_finished,
    "conflict_predicted": lambda e: f"will conflict with {_other_side(e)} in {', '.join(e.files)}",
    "conflict_cleared": lambda e: f"will no longer conflict with {_other_side(e)}",
    "wrote_outside": lambda e: f"wrote paths outside its `touches`: {_first(e.paths, e.path_count)}",
    "merge_waiting": lambda e: f"waits for you to merge it into {e.target_branch} or drop it",
    "merge_requested": lambda _: "merge requested",
    "merge_held": lambda e: f"merge into {e.target_branch} is blocked: {e.reason}",
    "base_moved": lambda e: f"{e.branch} moved to {e.commit[:10]}; behind it: {', '.join(e.epics)}",
    "sync_requested": _sync_requested,
    "sync_finished": _sync_finished,
    "sync_conflicted": lambda e: (
        f"{e.branch} conflicts in {', '.join(e.files)}; no task starts until you decide"
    ),
    "merge_started": lambda e: f"merging {e.source_branch} into {e.target_branch}",
    "merge_check_finished": _merge_check,
    "merge_finished": lambda e: f"merged into {e.target_branch} as {e.commit[:10]}",
    "merge_conflicted": _merge_conflicted,
    "push_failed": lambda e: f"push of {e.branch} failed: {e.error}",
    "budget_reached": _budget_reached,
    "hold_lifted": lambda e: f"no longer waits for {e.provider}",
    "worker_joined": lambda e: f"worker {e.worker} joined with {count(e.slots, 'slot')}",
    "worker_lost": lambda e: f"worker {e.worker} lost: {e.reason}",
    "worker_full": lambda e: f"worker {e.worker} takes no new work: {e.reason}",
    "run_waits": lambda e: waits(e.reason) if e.reason else "no longer waits for a worker",
    "environment_fault": lambda e: f"waiting without using up a retry: {e.message}",
    "environment_recovered": lambda e: f"resumed after {span(e.waited)}: what was missing is available again",
}

# Fields with the text that helps to fix a failure.
_EXPLANATIONS: Final = {
    "setup_finished": "output",
    "teardown_finished": "output",
    "merge_conflicted": "advice",
    "sync_conflicted": "reason",
}
