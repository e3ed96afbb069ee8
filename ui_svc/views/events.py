"""The views of events from both logs, and of their parts on a card."""

from heddle import pb
from heddle.events.words import describe
from ui_svc.views import transcript
from ui_svc.views.checks import check
from ui_svc.views.values import View, payload, time, word

# A card shows the end of a tool's input as one line; the modal reads all of it.
TARGET_CHARACTERS = 300


def event(message: pb.Event) -> View:
    """Returns an event of a session's log; `type` is its kind, `log` its log entry as [level, who, words]."""
    view = _fact(message)
    if (shown := transcript.entry(message)) is not None:
        # A list, because a named tuple is not written as JSON.
        view["log"] = list(shown)
    return view


def turn(message: pb.Event) -> View:
    """Returns an event of a run's log as text, with the keys of its epic and task; a check is as on a card."""
    told = _fact(message)
    if message.HasField("check_finished"):
        told = {key: told[key] for key in ("sequence", "time", "actor", "type")} | check(
            message.check_finished
        )
    return {
        **told,
        "words": describe(message),
        "epic": message.epic,
        "task": message.task,
        "attempt": message.attempt,
    }


def _fact(message: pb.Event) -> View:
    name = message.WhichOneof("payload")
    view: View = {
        "sequence": message.sequence,
        "time": time(message, "time"),
        "actor": message.actor,
        "type": name,
    }
    if name is not None:
        view.update(payload(getattr(message, name)))
    return view


def tool(message: pb.ToolStarted) -> View:
    """Returns a tool call for a card: the tool and what it affects."""
    return {
        "id": message.tool_call_id,
        "name": message.name,
        "target": message.target[:TARGET_CHARACTERS],
        "kind": word(pb.ToolKind.DESCRIPTOR, message.kind),
    }


def approval(message: pb.ApprovalRequested) -> View:
    """Returns a question to the operator."""
    return {
        "id": message.approval_id,
        "question": message.question,
        "tool": message.tool,
        "target": message.target,
    }
