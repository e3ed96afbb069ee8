"""One line for each event of a run's or a session's log, safe for a terminal."""

from heddle import pb
from heddle.cli.console import words
from heddle.events.words import explain


def line(event: pb.Event) -> str:
    """Returns the sequence, time, place and description of an event, without a line break."""
    place = "/".join(filter(None, (event.epic, event.task, str(event.attempt or ""))))
    what = " | ".join(describe(event).splitlines())
    return f"{event.sequence:>5}  {words.clock(event.time)}  {f'{place}: ' if place else ''}{what}".rstrip()


def describe(event: pb.Event) -> str:
    """Returns the description of an event, safe for a terminal."""
    return words.plain(explain(event))
