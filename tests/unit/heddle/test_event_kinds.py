"""The options of each event kind define how it is treated."""

from heddle import pb
from heddle.events import kinds


def test_every_kind_has_options() -> None:
    """A kind without options would be in no log, so each field of the payload must have them."""
    fields = pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    assert list(kinds.OPTIONS) == [field.name for field in fields]
    assert [name for name, options in kinds.OPTIONS.items() if not (options.session or options.run)] == []


def test_a_host_writes_only_what_a_session_holds() -> None:
    """Events that a host may send belong to the log of its session."""
    assert kinds.HOST
    assert [kind for kind in kinds.HOST if not kinds.OPTIONS[kind].session] == []


def test_pieces_of_text_stay_with_their_session() -> None:
    """The log of the run never contains an agent's text, because that can be long."""
    assert kinds.TEXT
    assert not kinds.TEXT & kinds.RUN
    event = pb.Event()
    assert [kind for kind in kinds.TEXT if getattr(event, kind).text] == []


def test_what_a_run_is_viewed_by_is_in_its_log() -> None:
    """States, timeline and history need only the log of the run."""
    assert kinds.TASK_STATES <= kinds.RUN
    assert kinds.SPANS <= kinds.RUN
    assert kinds.HISTORY <= kinds.RUN


def test_promoted_kinds_are_in_both_logs() -> None:
    """Usage is copied into the log of the run; an agent's messages and the start of a run are not."""
    assert "usage" in kinds.PROMOTED
    assert not {"message", "tool_started", "run_created"} & kinds.PROMOTED
