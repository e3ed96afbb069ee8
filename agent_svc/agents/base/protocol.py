"""The protocol between agent_svc and a host, which is a program that drives one agent.

A host hides an agent's own protocol (an SDK, ACP, JSONL) behind lines of JSON:

1. agent_svc writes one line to the host's standard input: {"protocol": 1, "session": …}.
   The session is a StartSessionRequest. With "resume": "ID", the agent should resume
   its own session with this id. If it cannot, the host reports that and starts a new session.
2. The host writes {"protocol": 1} to its standard output.
3. After that, every line in both directions is an Event that has only its payload set.
   The host sends what the agent does. agent_svc sends approval_resolved (the answer to an
   approval_requested) and message (what the operator writes). A host that stops waiting
   for an answer sends the approval_resolved itself. A host sends session_started
   with agent_session_id to report the agent's own id of its session; agent_svc stores the id
   for a later resume and does not treat the line as an event. After that, the host may be ended
   while its question is open: the session that resumes it receives the answer in "answers",
   and does not ask again.
4. To report its outcome, the host may send session_finished with outcome (failed, over
   budget, unauthorized, out of credit, provider unavailable, or rate limited, which also has
   retry_after or retry_time) and reason, and then exits. Without session_finished, exit
   code 0 is success, and 75 is a rate limit.
5. Before it ends successfully, the host writes {"closing": N}, where N is the number of
   messages that it has read. If N is the number sent, agent_svc answers {"closed": true} and
   refuses further messages of the operator. Otherwise more messages are on their way, and there is
   no answer: the host passes the messages to its agent, and asks again. If a host ends without
   this step, the last messages may be lost.

All messages are in protobuf's JSON form. Any other line, for example one that a library
printed, becomes Output, and so does standard error.

Tools have the names that agents use (Bash, Read, Write, Edit). A target is the command, or
the file relative to the worktree.
"""

import json
from typing import Final, NamedTuple

from google.protobuf import json_format

from heddle import pb

VERSION: Final = 1

# How an answer begins if no operator gave it.
UNANSWERED: Final = "no answer within"


class Opening(NamedTuple):
    """The content of the first line."""

    session: pb.StartSessionRequest
    # Empty: start a new session.
    resume: str = ""


def opening(request: pb.StartSessionRequest, resume: str = "") -> bytes:
    """Returns agent_svc's first line."""
    said = {"protocol": VERSION, "session": json_format.MessageToDict(request)}
    if resume:
        said["resume"] = resume
    return json.dumps(said).encode() + b"\n"


def parse_opening(line: bytes) -> Opening:
    """Returns the content of the first line; raises ValueError for another protocol version."""
    said = json.loads(line)
    if said["protocol"] != VERSION:
        raise ValueError(f"agent_svc speaks protocol {said['protocol']}; this host speaks {VERSION}")
    session = json_format.ParseDict(said["session"], pb.StartSessionRequest(), ignore_unknown_fields=True)
    return Opening(session, said.get("resume", ""))


def greeting() -> bytes:
    """Returns a host's first line."""
    return json.dumps({"protocol": VERSION}).encode() + b"\n"


def is_greeting(line: bytes) -> bool:
    """Returns whether `line` is a host's first line in this protocol version."""
    try:
        return bool(json.loads(line) == {"protocol": VERSION})
    except (ValueError, RecursionError):
        return False


def closing(heard: int) -> bytes:
    """Returns the line with which a host asks to end; `heard` is the number of messages it has read."""
    return json.dumps({"closing": heard}).encode() + b"\n"


def parse_closing(line: bytes) -> int | None:
    """Returns the number of messages that a host had read when it asked to end; None for any other line."""
    if not line.startswith(b'{"closing"'):
        return None
    try:
        said = json.loads(line)["closing"]
    except (ValueError, RecursionError):
        return None
    return said if type(said) is int else None


def closed() -> bytes:
    """Returns the line with which agent_svc permits a host to end."""
    return json.dumps({"closed": True}).encode() + b"\n"


def line_of(event: pb.Event) -> bytes:
    """Returns the line for one event."""
    return json_format.MessageToJson(event, indent=None).encode() + b"\n"


def parse_event(line: bytes) -> pb.Event:
    """Returns the event of one line; raises ValueError if it is not an event."""
    try:
        return json_format.Parse(line, pb.Event())
    except Exception as error:  # the parser raises various errors for an invalid message
        raise ValueError(str(error)) from error
