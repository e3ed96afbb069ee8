from pathlib import Path

import pytest

from agent_svc.log.event_log import HEADER, MARGIN, MAX_FRAME_BYTES, MAX_RESPONSE_BYTES, EventLog
from heddle import pb


def said(*texts: str) -> list[pb.Event]:
    return [pb.Event(message=pb.Message(text=text)) for text in texts]


def everything(log: EventLog, after: int = 0) -> list[str]:
    texts: list[str] = []
    while after < log.last_sequence:
        response = log.read(after, log.last_sequence)
        assert response.ByteSize() <= MAX_RESPONSE_BYTES
        assert [event.sequence for event in response.events] == list(
            range(after + 1, response.resume_sequence + 1)
        )
        texts += [event.message.text for event in response.events]
        after = response.resume_sequence
    return texts


def frame_sizes(path: Path) -> list[int]:
    """Returns the size of the body of each frame in a log, in bytes."""
    data, place, sizes = path.read_bytes(), 0, []
    while place < len(data):
        length, _ = HEADER.unpack_from(data, place)
        sizes.append(length)
        place += HEADER.size + length
    return sizes


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


def test_numbers_events_across_batches(path: Path) -> None:
    """Events are numbered from 1 across all batches and openings."""
    log = EventLog.open(path)
    log.append(said("a", "b"))
    log.close()
    log = EventLog.open(path)
    log.append(said("c"))
    log.close()
    assert everything(log) == ["a", "b", "c"]
    assert everything(EventLog.view(path)) == ["a", "b", "c"]


@pytest.mark.parametrize("after", range(6))
def test_reads_from_any_sequence(path: Path, after: int) -> None:
    """A read can begin in the middle of a batch."""
    log = EventLog.open(path)
    for batch in (["a", "b"], ["c"], ["d", "e", "f"]):
        log.append(said(*batch))
    log.close()
    assert everything(log, after) == ["a", "b", "c", "d", "e", "f"][after:]


def test_reads_nothing_behind_last(path: Path) -> None:
    """A read returns no event after the given last number."""
    log = EventLog.open(path)
    log.append(said("a", "b", "c"))
    log.close()
    assert [event.message.text for event in log.read(1, 2).events] == ["b"]


@pytest.mark.parametrize("size", [10, 1000, 60_000, 100_000, 130_000])
def test_responses_stay_below_their_limit(path: Path, size: int) -> None:
    """A response has at most 256 KiB whatever the size of the events, and no event is left out."""
    log = EventLog.open(path)
    texts = [str(number).rjust(size) for number in range(max(12, 2_000_000 // size))]
    log.append(said(*texts[:7]))
    log.append(said(*texts[7:]))
    log.close()
    assert everything(log) == texts


@pytest.mark.parametrize("kept", range(1, 30, 3))
def test_torn_tail_is_cut_off(path: Path, kept: int) -> None:
    """A frame that a crash left incomplete is removed, and the log continues after the last whole one."""
    log = EventLog.open(path)
    log.append(said("a", "b"))
    whole = path.stat().st_size
    log.append(said("torn", "away"))
    log.close()
    with path.open("rb+") as file:
        file.truncate(whole + kept)
    assert everything(EventLog.view(path)) == ["a", "b"]
    log = EventLog.open(path)
    assert path.stat().st_size == whole
    log.append(said("c"))
    log.close()
    assert everything(EventLog.view(path)) == ["a", "b", "c"]


@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"\0" * 40, HEADER.pack(3, 0) + b"abc"])
def test_garbage_behind_the_end_is_cut_off(path: Path, garbage: bytes) -> None:
    """Invalid bytes at the end, as a crashed file system leaves them, are removed."""
    log = EventLog.open(path)
    log.append(said("a"))
    log.close()
    with path.open("ab") as file:
        file.write(garbage)
    assert everything(EventLog.open(path)) == ["a"]


def test_failed_append_keeps_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk refuses an append, the log is unchanged."""
    log = EventLog.open(path)
    log.append(said("a"))

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            log.append(said("b"))
    log.append(said("c"))
    log.close()
    assert everything(EventLog.view(path)) == ["a", "c"]


def test_absent_log_is_empty(path: Path) -> None:
    """A log that does not exist has no events."""
    log = EventLog.view(path)
    assert log.last_sequence == 0
    assert log.last_event() is None


def test_last_event(path: Path) -> None:
    """The newest event is found without reading the others."""
    log = EventLog.open(path)
    log.append(said("a", "b"))
    log.close()
    last = log.last_event()
    assert last is not None
    assert (last.sequence, last.message.text) == (2, "b")


def test_closed_log_takes_nothing(path: Path) -> None:
    """Appending to a closed log raises an error."""
    log = EventLog.open(path)
    log.close()
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append(said("a"))


@pytest.mark.parametrize(("beyond", "frames"), [(0, 1), (1, 2)])
def test_frame_at_its_limit(path: Path, beyond: int, frames: int) -> None:
    """Two events fill a frame exactly; with one byte more, the second is written to the next frame."""
    events = said("x" * 100_000, "y")
    for number, event in enumerate(events, 1):
        event.sequence = number
    # Each event's field in the frame counts 5 bytes for its tag and length.
    room = MAX_FRAME_BYTES - sum(event.ByteSize() + 5 for event in events)
    # The length of a longer text takes two bytes more.
    events[1].message.text += "y" * (room - 2 * 2 + beyond)
    size = sum(event.ByteSize() + 5 for event in events)
    assert size == MAX_FRAME_BYTES + beyond
    log = EventLog.open(path)
    log.append(events)
    log.close()
    assert len(frame_sizes(path)) == frames


def test_frames_fit_a_response(path: Path) -> None:
    """A batch of any size becomes full frames, and each can be sent in one response."""
    log = EventLog.open(path)
    log.append(said(*["x" * 1000] * 1000))
    log.close()
    *full, last = frame_sizes(path)
    assert max(*full, last) <= MAX_FRAME_BYTES < MAX_RESPONSE_BYTES - MARGIN
    assert min(full) > MAX_FRAME_BYTES - 1500
    assert sum(full) + last < 1000 * 1100
    # A read returns whole frames only.
    response = EventLog.view(path).read(0, 1000)
    assert response.ByteSize() <= MAX_RESPONSE_BYTES
    assert response.resume_sequence == len(response.events) > 150
