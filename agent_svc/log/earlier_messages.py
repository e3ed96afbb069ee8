"""What the operator said to sessions that another one goes on with. Their agents may not have heard it any more."""

from collections.abc import Iterator, Sequence
from typing import Final

from agent_svc.log.event_log import EventLog
from agent_svc.log.spool import SessionFolder, Spool
from heddle import pb
from heddle.names import AttemptName

_AGAIN: Final = """\
{prompt}

Meanwhile the operator said what follows. You may not have heard all of it:

{said}"""


def said_before(spool: Spool, request: pb.StartSessionRequest) -> list[str]:
    """Returns it, oldest first: of the session that `request` goes on with, of the one before that, and so on.

    Sessions that are no longer kept are left out.
    """
    said: list[str] = []
    name, earlier = AttemptName.parse(request.attempt), request.resume_attempt
    # Attempts are numbered: whoever asks for anything else gets no endless look.
    while earlier and AttemptName.parse(earlier).number < name.number:
        name = AttemptName.parse(earlier)
        folder = spool.folder(name)
        try:
            earlier = folder.spec().resume_attempt
        except FileNotFoundError:
            break
        said = [*said_in(folder), *said]
    return said


def told_again(request: pb.StartSessionRequest, said: Sequence[str]) -> pb.StartSessionRequest:
    """Returns the request with what was said before behind its prompt."""
    if not said:
        return request
    told = pb.StartSessionRequest()
    told.CopyFrom(request)
    told.prompt = _AGAIN.format(prompt=request.prompt, said="\n\n".join(said))
    return told


def said_in(folder: SessionFolder) -> list[str]:
    """Returns what the operator said in one session, oldest first."""
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
