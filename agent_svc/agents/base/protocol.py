"""The language between agent_svc and a host: a program that drives one agent.

A host hides an agent's own language (an SDK, ACP, JSONL) behind lines of JSON:

1. agent_svc writes one line to its standard input: {"protocol": 1, "session": …},
   the session a StartSessionRequest. With "resume": "ID" the agent should resume
   its own session with this id; if it cannot, it says so and starts a new one.
2. The host writes {"protocol": 1} to its standard output.
3. From then on every line in both directions is an Event of which only the payload
   is set. The host sends what the agent does. agent_svc sends approval_resolved, the
   answer to an approval_requested, and message, what the operator says. A host that
   waits no longer for an answer sends the approval_resolved itself. By session_started
   with agent_session_id it says how the agent calls its own session; that is kept for
   a later resume and is not an event. A host that has said so may be ended while its
   question is open: the session that resumes it has the answer in "answers", and
   does not ask again.
4. The host may say how it ended by session_finished with outcome (failed, over
   budget, unauthorized, out of credit, provider unavailable, rate limited and then also
   retry_after or retry_time) and reason, and then exits. Without it, exit code 0 is
   success, and 75 a rate limit.
5. Before it ends well, the host writes {"closing": N}, where N is how many messages it
   has read. If these are all, agent_svc answers {"closed": true}, and from then on
   refuses what the operator says. If not, the others are on their way, and there is no
   answer: the host passes them to its agent, and asks again. A host that ends without
   this may lose what was said last.

All messages are in protobuf's JSON form. Any other line is the output
of a careless library and becomes Output; so does standard error.

Tools are named as agents name them (Bash, Read, Write, Edit); a target is the file,
relative to the worktree, or the command.
"""

import json
from typing import Final, NamedTuple

from google.protobuf import json_format

from heddle import pb

VERSION: Final = 1


class Opening(NamedTuple):
    """What the first line says."""

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
    """Returns what the first line says; raises ValueError for another protocol."""
    said = json.loads(line)
    if said["protocol"] != VERSION:
        raise ValueError(f"agent_svc speaks protocol {said['protocol']}; this host speaks {VERSION}")
    session = json_format.ParseDict(said["session"], pb.StartSessionRequest(), ignore_unknown_fields=True)
    return Opening(session, said.get("resume", ""))


def greeting() -> bytes:
    """Returns a host's first line."""
    return json.dumps({"protocol": VERSION}).encode() + b"\n"


def is_greeting(line: bytes) -> bool:
    """Says whether `line` is a host's first line in this protocol."""
    try:
        return bool(json.loads(line) == {"protocol": VERSION})
    except (ValueError, RecursionError):
        return False


def closing(heard: int) -> bytes:
    """Returns the line with which a host that has read so many messages asks to end."""
    return json.dumps({"closing": heard}).encode() + b"\n"


def parse_closing(line: bytes) -> int | None:
    """Returns how many messages a host has read that asks to end; None if the line does not say that."""
    if not line.startswith(b'{"closing"'):
        return None
    try:
        said = json.loads(line)["closing"]
    except (ValueError, RecursionError):
        return None
    return said if type(said) is int else None


def closed() -> bytes:
    """Returns agent_svc's line for a host that may end."""
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
