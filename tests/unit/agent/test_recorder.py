import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_svc.log import recorder
from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder, join
from heddle import pb


def text(
    piece: str, *, last: bool = False, kind: "pb.MessageKind.ValueType" = pb.MESSAGE_KIND_TEXT
) -> pb.Event:
    return pb.Event(actor="agent:a", message=pb.Message(kind=kind, text=piece, last=last))


def out(
    piece: str, stream: "pb.OutputStream.ValueType" = pb.OUTPUT_STREAM_STDOUT, call: str = ""
) -> pb.Event:
    return pb.Event(actor="agent:a", output=pb.Output(stream=stream, text=piece, tool_call_id=call))


def usage() -> pb.Event:
    return pb.Event(actor="agent:a", usage=pb.Usage(model="m"))


def test_joins_pieces_of_one_text() -> None:
    """Pieces of one message become one event, which keeps the mark that the message has ended."""
    event = text("Hel")
    assert join(event, text("lo", last=True))
    assert (event.message.text, event.message.last) == ("Hello", True)
    assert not join(event, text("Next"))


def test_joins_output_of_one_stream() -> None:
    """Output of one stream and tool call becomes one event."""
    event = out("a", call="1")
    assert join(event, out("b", call="1"))
    assert event.output.text == "ab"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (out("a"), out("b", pb.OUTPUT_STREAM_STDERR)),
        (out("a"), out("b", call="1")),
        (out("a"), text("b")),
        (text("a"), text("b", kind=pb.MESSAGE_KIND_THINKING)),
        (out("a" * 20_000), out("b" * 20_000)),
        (usage(), usage()),
        (out("a"), pb.Event(actor="worker:w", output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text="b"))),
    ],
)
def test_keeps_apart_what_differs(one: pb.Event, two: pb.Event) -> None:
    """Texts with different origins, other events, and texts that are long enough are not joined."""
    before = pb.Event.FromString(one.SerializeToString())
    assert not join(one, two)
    assert one == before


async def test_joins_within_the_window(tmp_path: Path) -> None:
    """Text that arrives within the window becomes one event; any other event sends it immediately."""
    recorded = Recorder(EventLog.open(tmp_path / "log"))
    for piece in "abc":
        await recorded.record(text(piece))
    assert recorded.last_sequence == 0
    await recorded.record(usage())
    seen = []
    async for response in recorded.watch(0):
        seen += list(response.events)
        if seen[-1].HasField("usage"):
            break
    assert [event.message.text for event in seen] == ["abc", ""]
    recorded.close()


async def test_text_alone_is_told_after_the_window(tmp_path: Path) -> None:
    """Text without a following event is sent when the window has passed."""
    recorded = Recorder(EventLog.open(tmp_path / "log"))
    await recorded.record(text("a"))
    async with asyncio.timeout(10):
        response = await anext(recorded.watch(0))
    assert response.events[0].message.text == "a"
    recorded.close()


async def test_end_is_told_by_close_only(tmp_path: Path) -> None:
    """The last event is on disk before the log is closed, and visible only afterwards."""
    path = tmp_path / "log"
    recorded = Recorder(EventLog.open(path))
    await recorded.record(text("a"))
    await recorded.finish(usage())
    assert recorded.last_sequence == 0
    assert EventLog.view(path).last_sequence == 2
    recorded.close()
    assert [response.resume_sequence async for response in recorded.watch(0)] == [2]


async def test_many_watchers_one_doorbell(tmp_path: Path) -> None:
    """Each of many watchers receives every event, wherever it started."""
    recorded = Recorder(EventLog.open(tmp_path / "log"))
    await recorded.record(usage())

    async def watch(after: int) -> list[int]:
        return [event.sequence async for response in recorded.watch(after) for event in response.events]

    watching = [asyncio.create_task(watch(number % 2)) for number in range(40)]
    for _ in range(20):
        await recorded.record(usage())
        await asyncio.sleep(0)
    await recorded.finish(usage())
    recorded.close()
    for number, seen in enumerate(await asyncio.gather(*watching)):
        assert seen == list(range(1 + number % 2, 23))


async def test_failure_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk failure is reported once; then events are dropped until the failure is cleared."""
    failures: list[OSError] = []
    log = EventLog.open(tmp_path / "log")
    recorded = Recorder(log, failures.append)
    with monkeypatch.context() as patched:
        patched.setattr(log, "append", _refuse)
        await recorded.record(usage())
        await recorded.record(usage())
        with pytest.raises(OSError, match="full"):
            await recorded.finish(usage())
        assert len(failures) == 1
    await recorded.forget()
    await recorded.finish(usage())
    recorded.close()
    assert recorded.last_sequence == 1


def _refuse(_: object) -> None:
    raise OSError(28, "full")


async def test_much_pending_holds_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many events wait for the disk, the caller waits too."""
    monkeypatch.setattr(recorder, "MAX_PENDING", 100)
    recorded = Recorder(EventLog.open(tmp_path / "log"))
    await recorded.record(text("a" * 200))
    assert recorded.last_sequence == 1
    recorded.close()


async def test_one_batch_is_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is being written, the next one waits, and the order is kept."""
    log = EventLog.open(tmp_path / "log")
    append, begun, go = log.append, [], threading.Event()

    def append_slowly(events: Sequence[pb.Event]) -> None:
        begun.append(len(events))
        assert go.wait(60)
        append(events)

    monkeypatch.setattr(log, "append", append_slowly)
    recorded = Recorder(log)
    await recorded.record(pb.Event(usage=pb.Usage(model="a")))
    while not begun:
        await asyncio.to_thread(int)
    await recorded.record(pb.Event(usage=pb.Usage(model="b")))
    for _ in range(20):
        await asyncio.to_thread(int)
    assert begun == [1]
    go.set()
    await recorded.finish(pb.Event(usage=pb.Usage(model="c")))
    recorded.close()
    written = EventLog.view(tmp_path / "log").read(0, 3).events
    assert [(event.sequence, event.usage.model) for event in written] == [(1, "a"), (2, "b"), (3, "c")]
