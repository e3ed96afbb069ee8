"""The views of runs, epics, tasks, attempts and workers."""

from heddle import pb
from heddle.readable import moved
from ui_svc.views.checks import check, whole_check
from ui_svc.views.events import approval, tool
from ui_svc.views.values import View, counts, diff_stat, seconds, time, usage, word


def run(message: pb.Run) -> View:
    """Returns a run with its task counts and costs."""
    return {
        "name": message.name,
        "title": message.title,
        "state": word(pb.RunState.DESCRIPTOR, message.state),
        "reason": "; ".join(filter(None, (message.reason, message.waits_for))),
        "waits_for": message.waits_for,
        "project": message.project,
        "base_ref": message.base_ref,
        "base_commit": message.base_commit,
        "base_behind": _behind(message),
        "base": _base(message),
        "branch": message.branch,
        "merge_into": message.merge_into,
        "max_parallel": message.max_parallel,
        "tasks": counts(message.tasks),
        "epic_count": message.epic_count,
        "usage": usage(message.usage),
        "created": time(message, "create_time"),
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
        "sequence": message.sequence,
        "creator": message.creator,
        "fault": message.fault,
        "unpushed": [{"branch": each.branch, "error": each.error} for each in message.unpushed],
        "budget": message.budget_usd_micros if message.HasField("budget_usd_micros") else None,
        "held_by": message.held_by,
        "remark": message.remark,
        "granted": [
            {"rule": each.rule, "by": each.actor, "at": time(each, "grant_time")}
            for each in message.granted_permissions
        ],
        "draft": message.draft,
        "revises": message.revises,
    }


def hold(message: pb.Hold) -> View:
    """Returns a provider that is on hold; `until` is None if the operator has to resume it."""
    return {
        "provider": message.provider,
        "cause": word(pb.Outcome.DESCRIPTOR, message.cause),
        "reason": message.reason,
        "since": time(message, "create_time"),
        "until": time(message, "until"),
        "runs": list(message.runs),
        "tasks": message.waiting_tasks,
    }


def _behind(message: pb.Run) -> View | None:
    found = message.base_behind
    if not message.HasField("base_behind"):
        return None
    return {"branch": found.branch, "upstream": found.upstream, "commits": found.commits}


def _base(message: pb.Run) -> View | None:
    """Returns the branch that the run's epics can take in, and by epic how many of its commits each lacks."""
    found = message.base_state
    if not found.behind:
        return None
    behind = {each.epic: each.commit_count for each in found.behind}
    return {"branch": found.branch, "behind": behind}


def _sync(message: pb.Epic) -> View | None:
    """Returns what an epic does about new commits of that branch; None if nothing was decided and nothing conflicts."""
    found = message.sync
    if found.state == pb.SYNC_STATE_UNSPECIFIED:
        return None
    return {
        "state": word(pb.SyncState.DESCRIPTOR, found.state),
        "branch": found.branch,
        "files": list(found.conflict_files),
    }


def forecast(message: pb.Forecast) -> View:
    """Returns the forecast of a run; `remaining` is None if there is none yet."""
    known = message.HasField("remaining")
    return {
        "remaining": seconds(message.remaining) if known else None,
        "at_least": seconds(message.at_least) if known else None,
        # The rest that does not start before the operator has acted. None: nothing waits.
        "after_operator": seconds(message.after_operator) if message.HasField("after_operator") else None,
        "critical_path": list(message.critical_path),
        "measured": message.measured_tasks,
    }


def listed_run(message: pb.Run) -> View:
    """Returns a run for the list, without its usage by model."""
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
        "state": word(pb.EpicState.DESCRIPTOR, message.state),
        "reason": _why(message),
        "moved": moved(message.last_move) if message.HasField("last_move") else "",
        "moved_at": time(message.last_move, "time"),
        "depends_on": list(message.depends_on),
        "touches": list(message.touches),
        "branch": message.branch,
        "worktree": message.worktree_path,
        "slot": message.slot,
        "ports": list(message.ports),
        "worker": message.worker,
        "head_commit": message.head_commit,
        "merge_commit": message.merge_commit,
        "conflict_files": list(message.conflict_files),
        "sync": _sync(message),
        "tasks": counts(message.tasks),
        "usage": usage(message.usage),
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
    }


def _why(message: pb.Epic) -> str:
    waits = (message.merge_hold, message.budget_hold.reason, message.sync.reason, message.waits_for)
    return message.reason or next(filter(None, waits), "")


def task(message: pb.Task) -> View:
    """Returns a task for the board, with its newest attempt and without its prompt."""
    return {
        "name": message.name,
        "epic": message.name.rpartition("/tasks/")[0],
        "key": message.key,
        "title": message.title,
        "position": message.position,
        "state": word(pb.TaskState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "agent": message.agent,
        "attempts": message.attempt_count,
        "needs": list(message.needs),
        "commit": message.commit,
        "candidate": message.candidate,
        "candidates": message.candidates,
        "chosen": message.chosen_candidate,
        "score": message.score if message.HasField("score") else None,
        "attempt": attempt(message.latest_attempt) if message.HasField("latest_attempt") else None,
    }


def whole_task(message: pb.Task) -> View:
    """Returns a task with the fields that only its modal shows."""
    checks = [{"name": check.name, "run": check.run} for check in message.checks]
    return {
        **task(message),
        "prompt": message.prompt,
        "source": message.source,
        "retries": message.retries,
        "checks": checks,
    }


def attempt(message: pb.Attempt) -> View:
    """Returns an attempt without the output of its checks."""
    unfilled = message.submodules_not_filled
    return {
        "name": message.name,
        "state": word(pb.AttemptState.DESCRIPTOR, message.state),
        "reason": message.reason,
        "worker": message.worker,
        "agent": message.agent,
        "started": time(message, "start_time"),
        "ended": time(message, "end_time"),
        "commit": message.commit,
        "kept_ref": message.kept_ref,
        "agent_session": (
            {"id": message.agent_session.id, "command": message.agent_session.command}
            if message.HasField("agent_session")
            else None
        ),
        "background_stopped": list(message.background_stopped),
        "found_ref": message.found_ref,
        "takes_over": message.takes_over,
        "unfilled": [{"path": each.path, "reason": each.reason} for each in unfilled.submodules],
        "no_changes": message.no_changes,
        "ignored": ignored(message.ignored_files) if message.HasField("ignored_files") else None,
        "diff": diff_stat(message.diff_stat) if message.HasField("diff_stat") else None,
        "usage": usage(message.usage),
        "checks": [check(each) for each in message.checks],
        "summary": summary(message.summary) if message.HasField("summary") else None,
        "session_sequence": message.session_sequence,
        "review": review(message.review) if message.HasField("review") else None,
    }


def review(message: pb.Review) -> View:
    """Returns what an attempt reviews, and what it found."""
    findings = [
        {
            "file": each.file,
            "line": each.line,
            "severity": word(pb.ReviewSeverity.DESCRIPTOR, each.severity),
            "text": each.text,
        }
        for each in message.findings
    ]
    return {
        "attempt": message.attempt,
        "position": message.position,
        "round": message.round,
        "rounds": message.rounds,
        "blocking": message.blocking,
        "verdict": word(pb.ReviewVerdict.DESCRIPTOR, message.verdict) if message.verdict else "",
        "summary": message.summary,
        "findings": findings,
        "comparison": _comparison(message.comparison) if message.HasField("comparison") else None,
    }


def _comparison(message: pb.Comparison) -> View:
    """Returns which candidates an agent compares, and its choice; 0: none yet."""
    numbers = [each.candidate for each in message.candidates]
    return {"candidates": numbers, "best": message.best, "reason": message.reason}


def ignored(message: pb.IgnoredFilesLeft) -> View:
    """Returns the first ignored files that a commit does not contain, and their total number."""
    return {"paths": list(message.paths), "count": message.count}


def whole_attempt(message: pb.Attempt) -> View:
    """Returns an attempt with the output and the reports of its checks."""
    return {**attempt(message), "checks": [whole_check(each) for each in message.checks]}


def summary(message: pb.SessionSummary) -> View:
    """Returns the fields of a session that a card shows."""
    return {
        "attempt": message.attempt,
        "state": word(pb.AttemptState.DESCRIPTOR, message.state),
        "tool": tool(message.current_tool) if message.HasField("current_tool") else None,
        "lines": list(message.last_lines),
        "tool_calls": message.tool_calls,
        "tool_errors": message.tool_errors,
        "screenshots": message.screenshots,
        "usage": usage(message.usage),
        "waiting": approval(message.waiting_for) if message.HasField("waiting_for") else None,
        "active": time(message, "last_activity_time"),
        "activity": list(message.activity),
        "background": list(message.background),
        "context": {"tokens": message.context_tokens, "window": message.context_window},
    }


def worker(message: pb.Worker) -> View:
    """Returns a worker and the agents that it can start."""
    agents = [
        {
            "name": each.name,
            "available": each.available,
            # It can work: it was found, and nothing says that it is not logged in.
            "ready": each.available and not each.needs_login,
            "version": each.version,
            "detail": each.detail,
        }
        for each in message.agents
    ]
    return {
        "name": message.name,
        "slots": message.slots,
        "running": message.running_sessions,
        "connected": message.connected,
        "reason": message.reason,
        # Whether a browser on the scheduler's machine reaches the ports of its epics.
        "reachable": message.same_machine,
        "terminals": message.terminals,
        "agents": agents,
    }
