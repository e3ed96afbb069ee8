"""The summary of a session on its card, computed from the session's events. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from scheduler_svc.model.sessions.activity import counted
from scheduler_svc.model.sessions.usage import add_report

_LINES: Final = 5
_LINE_CHARACTERS: Final = 200

# The input of a tool call is shown in the dialog, not on the card.
_INPUT_CHARACTERS: Final = 200


def fold(attempt: pb.Attempt, events: Iterable[pb.Event]) -> pb.Attempt:
    """Returns `attempt` updated with the events.

    Updates state, summary, usage, checks, approvals, session_sequence, agent_session
    and background_stopped. In `summary.last_lines`, an empty last line marks the line before it as
    complete; `closed_lines` removes it.
    """
    folded = pb.Attempt()
    folded.CopyFrom(attempt)
    summary = folded.summary
    newest = None
    times = []
    for event in events:
        newest = event
        times.append(event.time.seconds)
        kind = event.WhichOneof("payload")
        if kind == "output":
            _write(summary, event.output.text)
        elif kind == "message":
            _write(summary, _spoken(event.message))
        else:
            _take(folded, kind, event)
    if newest is not None:
        folded.session_sequence = newest.sequence
        summary.activity[:] = counted(summary.activity, summary.last_activity_time.seconds, times)
        summary.last_activity_time.CopyFrom(newest.time)
    summary.usage.CopyFrom(folded.usage)
    summary.state = folded.state
    return folded


def closed_lines(summary: pb.SessionSummary) -> None:
    """Removes the mark of a complete line, and keeps the newest lines."""
    lines = [line for line in summary.last_lines if line]
    summary.last_lines[:] = lines[-_LINES:]


def _spoken(message: pb.Message) -> str:
    if message.kind == pb.MESSAGE_KIND_OPERATOR:
        # On its own line, even if the agent's text is in the middle of a line.
        return f"\nOperator: {message.text}\n"
    return message.text + "\n" if message.last else message.text


def _take(attempt: pb.Attempt, kind: str | None, event: pb.Event) -> None:
    summary = attempt.summary
    match kind:
        case "session_started":
            attempt.state = pb.ATTEMPT_STATE_RUNNING
        case "tool_started":
            summary.tool_calls += 1
            summary.current_tool.CopyFrom(event.tool_started)
            summary.current_tool.input = event.tool_started.input[:_INPUT_CHARACTERS]
        case "tool_finished":
            summary.tool_errors += not event.tool_finished.ok
            if summary.current_tool.tool_call_id == event.tool_finished.tool_call_id:
                summary.ClearField("current_tool")
        case "screenshot":
            summary.screenshots += 1
        case "usage":
            _take_usage(attempt, event.usage)
        case "approval_requested" | "approval_resolved":
            _take_approval(attempt, event)
        case "check_finished":
            attempt.state = pb.ATTEMPT_STATE_CHECKING
            attempt.checks.add().CopyFrom(event.check_finished)
        case "session_finished":
            summary.ClearField("current_tool")
            summary.ClearField("background")
            _end(attempt, event.session_finished)
        case _:
            _take_own(attempt, kind, event)


def _take_usage(attempt: pb.Attempt, told: pb.Usage) -> None:
    add_report(attempt.usage, told)
    if told.context_tokens:
        attempt.summary.context_tokens = told.context_tokens
        attempt.summary.context_window = told.context_window


def _take_own(attempt: pb.Attempt, kind: str | None, event: pb.Event) -> None:
    """Records what an agent reports about itself: its session and background tasks."""
    if kind == "background_work":
        attempt.summary.background[:] = event.background_work.running
        attempt.background_stopped.extend(event.background_work.stopped)
    elif kind == "agent_session":
        attempt.agent_session.CopyFrom(event.agent_session)


def _end(attempt: pb.Attempt, ended: pb.SessionFinished) -> None:
    if ended.outcome == pb.OUTCOME_PARKED:
        # The questions of a parked session stay open.
        return
    attempt.state = pb.ATTEMPT_STATE_CHECKING
    attempt.summary.ClearField("waiting_for")
    attempt.ClearField("approvals")


def _take_approval(attempt: pb.Attempt, event: pb.Event) -> None:
    """Updates the list of open questions; an agent may ask several at the same time."""
    asked, resolved = event.approval_requested, event.approval_resolved.approval_id
    if holds_for_session(event.approval_resolved):
        attempt.allowed_rules.append(event.approval_resolved.rule)
    known = [each for each in attempt.approvals if each.approval_id != resolved]
    if event.HasField("approval_requested") and asked.approval_id not in {each.approval_id for each in known}:
        known.append(_approval(asked, event.time))
    attempt.ClearField("approvals")
    attempt.approvals.extend(known)
    show_question(attempt.summary, known)
    if known:
        attempt.state = pb.ATTEMPT_STATE_WAITING
    elif attempt.state == pb.ATTEMPT_STATE_WAITING:
        attempt.state = pb.ATTEMPT_STATE_RUNNING


def holds_for_session(said: pb.ApprovalResolved) -> bool:
    """Returns whether an answer allows calls for the rest of its session alone; a rule of the run is in each task."""
    return bool(said.rule) and said.scope != pb.APPROVAL_SCOPE_RUN


def is_overdue(approval: pb.Approval, now: int) -> bool:
    """Returns whether a question counts as denied at `now`, in microseconds."""
    return approval.HasField("deny_time") and approval.deny_time.ToMicroseconds() <= now


def show_question(summary: pb.SessionSummary, asked: Sequence[pb.Approval]) -> None:
    """Shows the oldest open question on the card, if there is one."""
    summary.ClearField("waiting_for")
    if asked:
        oldest = asked[0]
        summary.waiting_for.CopyFrom(
            pb.ApprovalRequested(
                approval_id=oldest.approval_id,
                question=oldest.question,
                tool=oldest.tool,
                target=oldest.target,
            )
        )


def _approval(asked: pb.ApprovalRequested, time: Timestamp) -> pb.Approval:
    """Returns the open question, without its attempt's name."""
    approval = pb.Approval(
        approval_id=asked.approval_id,
        question=asked.question,
        tool=asked.tool,
        target=asked.target,
        request_time=time,
    )
    approval.parkable = asked.parkable
    if asked.HasField("wait"):
        approval.deny_time.FromNanoseconds(time.ToNanoseconds() + asked.wait.ToNanoseconds())
    return approval


def _write(summary: pb.SessionSummary, text: str) -> None:
    """Appends `text` to the newest line; `text` may contain many lines and end in the middle of one."""
    if not text:
        return
    pieces = text.split("\n")
    lines = list(summary.last_lines) or [""]
    lines[-1] = (lines[-1] + pieces[0].rstrip("\r"))[:_LINE_CHARACTERS]
    lines += [piece.rstrip("\r")[:_LINE_CHARACTERS] for piece in pieces[1:]]
    ends_open = lines.pop()
    kept = [line for line in lines if line.strip()][-_LINES:]
    summary.last_lines[:] = [*kept, ends_open]
