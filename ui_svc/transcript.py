"""A session's events as lines of plain text, for the downloaded log."""

from heddle import pb

_STREAMS = {
    pb.OUTPUT_STREAM_STDOUT: "out",
    pb.OUTPUT_STREAM_STDERR: "err",
    pb.OUTPUT_STREAM_SYSTEM: "heddle",
}

_SPEAKERS = {
    pb.MESSAGE_KIND_TEXT: "says",
    pb.MESSAGE_KIND_THINKING: "thinks",
    pb.MESSAGE_KIND_OPERATOR: "operator",
}


def lines(event: pb.Event) -> str:
    """Returns the event as whole lines "TIME WHO TEXT", in UTC; empty if it has nothing to read."""
    spoken = _spoken(event)
    if spoken is None:
        return ""
    who, text = spoken
    stamp = event.time.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    # Only a newline ends a line: what an agent prints may hold other separators.
    each = text.removesuffix("\n").split("\n")
    return "".join(f"{stamp} {who:8} {line}\n" for line in each)


def _spoken(event: pb.Event) -> tuple[str, str] | None:
    match event.WhichOneof("payload"):
        case "output":
            return _STREAMS.get(event.output.stream, "out"), event.output.text
        case "message":
            return _SPEAKERS.get(event.message.kind, "says"), event.message.text
        case "session_started":
            return "heddle", f"session started with {event.session_started.agent}"
        case "tool_started":
            tool = event.tool_started
            return "tool", f"{tool.name} {tool.target}".rstrip()
        case "tool_finished":
            done = event.tool_finished
            return "tool", f"{'done' if done.ok else 'FAILED'} {done.result}".rstrip()
        case "check_finished":
            check = event.check_finished
            verdict = "passed" if check.ok else "FAILED"
            return "check", f"{check.name} {verdict}: {check.command}\n{check.output}".rstrip()
        case "screenshot":
            return "shot", f"{event.screenshot.caption} ({event.screenshot.artifact})"
        case "approval_requested":
            return "asks", event.approval_requested.question
        case "approval_resolved":
            answer = event.approval_resolved
            return "operator", f"{'allowed' if answer.approved else 'denied'} {answer.message}".rstrip()
        case "session_finished":
            end = event.session_finished
            outcome = pb.Outcome.Name(end.outcome).removeprefix("OUTCOME_").lower()
            return "heddle", f"session {outcome} {end.reason}".rstrip()
        case _:
            return None
