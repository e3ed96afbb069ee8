"""Messages that the operator sent to the earlier sessions that this session continues.

The agents of those sessions may not have received them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from agent_svc.log.event_log import EventLog
from agent_svc.log.spool import SessionFolder, Spool
from heddle import pb
from heddle.names import AttemptName

_AGAIN: Final = """\
{prompt}

Meanwhile the operator sent these messages. You may not have received all of them:

{said}"""


def earlier_messages(spool: Spool, request: pb.StartSessionRequest) -> list[str]:
    """Returns the messages of all sessions that `request` continues, directly or indirectly, oldest first.

    Skips sessions that have been deleted.
    """
    said: list[str] = []
    name, earlier = AttemptName.parse(request.attempt), request.resume_attempt
    # Attempt numbers must decrease, so a request that forms a cycle cannot cause an endless loop.
    while earlier and AttemptName.parse(earlier).number < name.number:
        name = AttemptName.parse(earlier)
        folder = spool.folder(name)
        try:
            earlier = folder.spec().resume_attempt
        except FileNotFoundError:
            break
        said = [*messages_in(folder), *said]
    return said


def with_earlier_messages(request: pb.StartSessionRequest, said: Sequence[str]) -> pb.StartSessionRequest:
    """Returns the request with the earlier messages after its prompt."""
    if not said:
        return request
    told = pb.StartSessionRequest()
    told.CopyFrom(request)
    told.prompt = _AGAIN.format(prompt=request.prompt, said="\n\n".join(said))
    return told


def messages_in(folder: SessionFolder) -> list[str]:
    """Returns the operator's messages in one session, oldest first."""
    released = folder.released()
    return list(_told(EventLog.view(folder.log))) if released is None else released


def _told(log: EventLog) -> Iterator[str]:
    after = 0
    while after < log.last_sequence:
        page = log.read(after, log.last_sequence)
        for event in page.events:
            if event.message.kind == pb.MESSAGE_KIND_OPERATOR:
                yield event.message.text
        after = page.resume_sequence
