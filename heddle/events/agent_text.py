"""Which events of a session's log are what its own agent says to its reader. Pure."""

from heddle import pb


def is_message(event: pb.Event) -> bool:
    """Returns whether the event is text of the session's own agent: no thought, and nothing of a sub-agent."""
    said = event.message
    return event.HasField("message") and said.kind == pb.MESSAGE_KIND_TEXT and not said.parent_tool_call_id


def is_output(event: pb.Event) -> bool:
    """Returns whether the event is standard output of the agent's process itself, not of a tool that it calls."""
    return event.output.stream == pb.OUTPUT_STREAM_STDOUT and not event.output.tool_call_id
