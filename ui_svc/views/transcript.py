"""A session's events as lines of text or JSON, for the downloaded log."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from google.protobuf.json_format import MessageToJson

from heddle import pb

# Who speaks, and what.
Spoken: TypeAlias = tuple[str, str]

_STREAMS: Final = {
    pb.OUTPUT_STREAM_STDOUT: "out",
    pb.OUTPUT_STREAM_STDERR: "err",
    pb.OUTPUT_STREAM_SYSTEM: "heddle",
}

_SPEAKERS: Final = {
    pb.MESSAGE_KIND_TEXT: "says",
    pb.MESSAGE_KIND_THINKING: "thinks",
    pb.MESSAGE_KIND_OPERATOR: "operator",
}


def lines(event: pb.Event) -> str:
    """Returns the event as whole lines "TIME WHO TEXT", in UTC; empty if it has nothing to read."""
    kind = event.WhichOneof("payload")
    if kind is None or kind not in _WORDS:
        return ""
    who, text = _WORDS[kind](event)
    stamp = event.time.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    # Only a newline ends a line: what an agent prints may hold other separators.
    each = text.rstrip("\n").split("\n")
    return "".join(f"{stamp} {who:8} {line}".rstrip() + "\n" for line in each)


def _nested(told: pb.ToolStarted | pb.Message) -> str:
    """Returns the mark of what a sub-agent says and does."""
    return "↳ " if told.parent_tool_call_id else ""


def json_line(event: pb.Event) -> str:
    """Returns the event as protobuf's canonical JSON and a newline."""
    return MessageToJson(event, indent=None, ensure_ascii=False) + "\n"


def _check(check: pb.CheckFinished) -> Spoken:
    verdict = "passed" if check.ok else "FAILED"
    return "check", f"{check.name} {verdict}: {check.command}\n{check.output}"


def _setup(setup: pb.SetupFinished) -> Spoken:
    failed = f" FAILED: {setup.command or 'it took too long'}"
    return "setup", f"of the worktree{' done' if setup.ok else failed}"


def _left_out(told: pb.OutputLeftOut) -> str:
    where = "; the end follows" if told.final else " so far"
    more = f"more output than a session stores ({told.limit_bytes:,} bytes)"
    return f"{more}: {told.left_out_bytes:,} bytes are left out here{where}"


def _end(end: pb.SessionFinished) -> Spoken:
    outcome = pb.Outcome.Name(end.outcome).removeprefix("OUTCOME_").lower()
    return "heddle", f"session {outcome} {end.reason}"


def _answer(answer: pb.ApprovalResolved) -> Spoken:
    reach = "in the whole run" if answer.scope == pb.APPROVAL_SCOPE_RUN else "for the rest of the session"
    always = f" {answer.rule} {reach}" if answer.rule else ""
    return "operator", f"{'allowed' if answer.approved else 'denied'}{always} {answer.message}"


def _background(work: pb.BackgroundWork) -> str:
    if work.stopped:
        return f"stopped what still ran in the background: {', '.join(work.stopped)}"
    if work.running:
        return f"waits for what runs in the background: {', '.join(work.running)}"
    return "nothing runs in the background any more"


_WORDS: Final[Mapping[str, Callable[[pb.Event], Spoken]]] = {
    "output": lambda event: (_STREAMS.get(event.output.stream, "out"), event.output.text),
    "message": lambda event: (
        _SPEAKERS.get(event.message.kind, "says"),
        _nested(event.message) + event.message.text,
    ),
    "session_started": lambda event: ("heddle", f"session started with {event.session_started.agent}"),
    "output_left_out": lambda event: ("heddle", _left_out(event.output_left_out)),
    "tool_started": lambda event: (
        "tool",
        f"{_nested(event.tool_started)}{event.tool_started.name} {event.tool_started.target}",
    ),
    "tool_finished": lambda event: (
        "tool",
        f"{'done' if event.tool_finished.ok else 'FAILED'} {event.tool_finished.result}",
    ),
    "setup_finished": lambda event: _setup(event.setup_finished),
    "check_finished": lambda event: _check(event.check_finished),
    "screenshot": lambda event: ("shot", f"{event.screenshot.caption} ({event.screenshot.artifact})"),
    "approval_requested": lambda event: ("asks", event.approval_requested.question),
    "approval_resolved": lambda event: _answer(event.approval_resolved),
    "session_silent": lambda _: ("heddle", "silent for half of what its task allows"),
    "background_work": lambda event: ("heddle", _background(event.background_work)),
    "agent_session": lambda event: ("heddle", f"the agent's own session is {event.agent_session.id}"),
    "surroundings_changed": lambda event: (
        "heddle",
        "outside of its worktree, by it or by somebody else, changed: "
        + ", ".join(event.surroundings_changed.paths),
    ),
    "session_finished": lambda event: _end(event.session_finished),
}
