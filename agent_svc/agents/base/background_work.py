"""Reports of work that an agent left in the background. Pure."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.duration_pb2 import Duration

from agent_svc.text import clip
from heddle import pb

# The most tasks that an event names, and the most bytes of each name.
MOST: Final = 20
NAME_BYTES: Final = 200


def waiting(names: Iterable[str], limit: Duration, count: int | None = None) -> pb.Event:
    """Returns the event of a session that waits for `names`; without names, the session no longer waits.

    `count` is the total number of tasks if `names` contains only the first ones.
    """
    told = list(names)
    work = pb.BackgroundWork(running=_named(told), count=len(told) if count is None else count)
    if told:
        work.limit.CopyFrom(limit)
    return pb.Event(background_work=work)


def stopped(names: Iterable[str], count: int | None = None) -> pb.Event:
    """Returns the event that lists the tasks that were stopped before the checks."""
    told = list(names)
    work = pb.BackgroundWork(stopped=_named(told), count=len(told) if count is None else count)
    return pb.Event(background_work=work)


def limited(work: pb.BackgroundWork) -> pb.BackgroundWork:
    """Returns a host's report, cut to the limits of an event."""
    cut = pb.BackgroundWork(running=_named(work.running), stopped=_named(work.stopped))
    cut.count = max(work.count, len(work.running), len(work.stopped))
    if work.HasField("limit"):
        cut.limit.CopyFrom(work.limit)
    return cut


def _named(names: Iterable[str]) -> list[str]:
    return [clip(" ".join(name.split()), NAME_BYTES) for name in names][:MOST]
