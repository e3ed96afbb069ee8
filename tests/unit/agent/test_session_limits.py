"""Each limit of what a session stores and tells: what is exactly at it is kept, and one more is not."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from agent_svc.agents.base import background_work, host_driver, protocol
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.agents.base.provider_failures import kind_of
from agent_svc.agents.claude.model_calls import used
from agent_svc.agents.command.driver import CommandTranslator
from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder, join
from agent_svc.log.spool import RELEASED_BYTES, SessionFolder
from agent_svc.log.text_limit import TextLimit
from agent_svc.processes.environment import agent_environment
from agent_svc.processes.supervised import Exit
from agent_svc.sandbox import outside_changes
from agent_svc.sandbox.watch import Watch
from agent_svc.sessions.outcome import Ending, Span, agent_ending
from agent_svc.text import TextStream, clip, tail
from heddle import pb
from heddle.names import AttemptName


def reason_of(text: str) -> str:
    said = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=text)
    return agent_ending(Exit(code=1), said).reason


def of_host(kind: str, field: str) -> Callable[[str], str]:
    """Returns how a text of a host's event is stored."""

    def stored(text: str) -> str:
        told = pb.Event()
        setattr(getattr(told, kind), field, text)
        (event,) = host_driver.limited(told)
        return str(getattr(getattr(event, kind), field))

    return stored


def session_id_of(text: str) -> str:
    translator = HostTranslator()
    translator.stdout(protocol.greeting())
    event = pb.Event(session_started=pb.SessionStarted(agent_session_id=text))
    translator.stdout(protocol.line_of(event))
    return translator.agent_session_id


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (4 << 10, reason_of),
        (64 << 10, of_host("tool_started", "input")),
        (64 << 10, of_host("tool_finished", "result")),
        (4 << 10, of_host("tool_started", "target")),
        (4 << 10, of_host("approval_requested", "question")),
        (4 << 10, of_host("screenshot", "caption")),
        (4 << 10, session_id_of),
        (200, lambda text: background_work.stopped([text]).background_work.stopped[0]),
        (200, lambda text: background_work.waiting([text], Duration()).background_work.running[0]),
        (7, lambda text: clip(text, 7)),
    ],
    ids=[
        "reason",
        "input",
        "result",
        "target",
        "question",
        "caption",
        "session",
        "stopped",
        "running",
        "clip",
    ],
)
def test_texts(limit: int, kept: Callable[[str], str]) -> None:
    """A text of as many bytes as allowed is kept; a longer one is cut, and never within a character."""
    assert kept("x" * limit) == "x" * limit
    assert kept("x" * (limit + 1)) == "x" * limit
    odd = limit - (limit - 1) // 2 * 2
    assert kept("x" * odd + "ä" * ((limit + 1) // 2)) == "x" * odd + "ä" * ((limit - odd) // 2)


@pytest.mark.parametrize(
    ("data", "kept"),
    [(b"1234", "1234"), (b"12345", "2345"), ("1äöü".encode(), "öü"), (b"\xff1234", "1234"), (b"", "")],
)
def test_ends_of_texts(data: bytes, kept: str) -> None:
    """The end of a text has at most as many bytes as allowed, and no half of a character."""
    assert tail(data, 4) == kept


@pytest.mark.parametrize(("count", "named"), [(20, 20), (21, 20)])
def test_names_of_background_work(count: int, named: int) -> None:
    """Of more tasks than are named, the first are named, and all are counted."""
    names = [f"task {number}" for number in range(count)]
    for told in (
        background_work.waiting(names, Duration(seconds=1)).background_work,
        background_work.limited(pb.BackgroundWork(running=names)),
    ):
        assert (list(told.running), told.count) == (names[:named], count)
    told = background_work.stopped(names).background_work
    assert (list(told.stopped), told.count) == (names[:named], count)


@pytest.mark.parametrize(("size", "split"), [(32 << 10, [32 << 10]), ((32 << 10) + 1, [32 << 10, 1])])
def test_pieces_of_output(size: int, split: list[int]) -> None:
    """Text of 32 KiB is one event; one character more begins the next."""
    stream = TextStream(pb.OUTPUT_STREAM_STDOUT)
    assert [len(event.output.text) for event in stream.feed(b"x" * size)] == split


@pytest.mark.parametrize(("first", "joined"), [((32 << 10) - 1, True), (32 << 10, False)])
def test_joined_texts(first: int, joined: bool) -> None:
    """Pieces of text are joined up to 32 Ki characters."""
    events = [pb.Event(output=pb.Output(text=text)) for text in ("ä" * first, "b")]
    assert join(*events) == joined
    assert len(events[0].output.text) == first + joined


@pytest.mark.parametrize(("beyond", "written"), [(0, 0), (1, 1)])
async def test_events_that_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: int, written: int
) -> None:
    """As many bytes as allowed may wait; one more makes the caller wait until they are on disk."""
    event = pb.Event(output=pb.Output(text="a" * 200))
    monkeypatch.setattr("agent_svc.log.recorder.MAX_PENDING", event.ByteSize() - beyond)
    recorded = Recorder(EventLog.open(tmp_path / "log"))
    await recorded.record(event)
    assert recorded.last_sequence == written
    await recorded.finish(pb.Event(session_finished=pb.SessionFinished()))
    recorded.close()


@pytest.mark.parametrize(("beyond", "outputs"), [(0, 0), (1, 1)])
def test_a_line_of_a_host(beyond: int, outputs: int) -> None:
    """An unfinished line of 1 MiB waits for its end; a longer one is output."""
    translator = HostTranslator()
    events = translator.stdout(b"x" * ((1 << 20) + beyond))
    assert bool(events) == bool(outputs)
    assert "".join(event.output.text for event in events) == "x" * ((1 << 20) + 1) * outputs


@pytest.mark.parametrize(
    ("prompt", "given"),
    [("x" * 131_008, True), ("x" * 131_009, False), ("ä" * 65_504, True), ("ä" * 65_505, False)],
    ids=["at", "beyond", "at in bytes", "beyond in bytes"],
)
def test_a_prompt_in_a_variable(prompt: str, given: bool) -> None:
    """A prompt of as many bytes as a variable can hold is in HEDDLE_PROMPT; a longer one is not."""
    assert ("HEDDLE_PROMPT" in agent_environment({}, [], {}, prompt)) == given


@pytest.mark.parametrize(("count", "kept"), [((1 << 50) - 1, (1 << 50) - 1), (1 << 50, 0), (0, 0), (-1, 0)])
def test_counts_of_tokens(count: int, kept: int) -> None:
    """A number that cannot be a count of tokens is ignored."""
    assert used("m", {"input_tokens": count}).input_tokens == kept


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (499, pb.OUTCOME_FAILED),
        (500, pb.OUTCOME_PROVIDER_UNAVAILABLE),
        (599, pb.OUTCOME_PROVIDER_UNAVAILABLE),
    ],
)
def test_status_of_a_server_error(status: int, outcome: "pb.Outcome.ValueType") -> None:
    """From 500 on, the provider is the cause."""
    assert kind_of(status, "") == outcome


@pytest.mark.parametrize(("beyond", "freed"), [(-1, 0), (0, 1 << 20), (1, (1 << 20) + 1)])
def test_size_of_a_log_that_is_released(tmp_path: Path, beyond: int, freed: int) -> None:
    """A log of 1 MiB is removed and its messages are kept; a smaller log stays."""
    folder = SessionFolder(tmp_path / "session", tmp_path / "scratch")
    folder.path.mkdir()
    with folder.log.open("wb") as file:
        file.truncate(RELEASED_BYTES + beyond)
    assert folder.release(["Use tabs"]) == freed
    assert folder.log.exists() == (not freed)
    assert folder.released() == (["Use tabs"] if freed else None)


def call(size: int) -> pb.Event:
    event = pb.Event(tool_finished=pb.ToolFinished(result="x" * size))
    event.actor = "agent:x"
    return event


@pytest.mark.parametrize(("size", "cut"), [(1 << 10, False), ((1 << 10) + 1, True)])
def test_details_of_calls_after_the_beginning(size: int, cut: bool) -> None:
    """After the beginning, the result of a call keeps 1 KiB; a longer one is cut and says so."""
    limit = TextLimit(1 << 20)
    said = pb.Event(output=pb.Output(text="x" * (1 << 20), stream=pb.OUTPUT_STREAM_STDOUT))
    said.actor = "agent:x"
    limit.admit([said])
    stored = limit.admit([call(size)])[0].tool_finished.result
    assert stored.startswith("x" * (1 << 10))
    assert stored.endswith("[cut: the session writes too much]") == cut
    assert (len(stored) == size) == (not cut)


@pytest.mark.parametrize(("spent", "stored"), [(767, 2), (768, 1)])
def test_beginning_of_a_text(spent: int, stored: int) -> None:
    """Six eighths of the limit are stored at once; what comes after is the end, which waits."""
    events = []
    for text in ("", "b"):
        event = pb.Event(output=pb.Output(text=text, stream=pb.OUTPUT_STREAM_STDOUT))
        event.actor = "agent:x"
        events.append(event)
    events[0].output.text = "a" * (spent - events[0].ByteSize() - 4)
    assert events[0].ByteSize() == spent
    assert len(TextLimit(1024).admit(events)) == stored


def finished(**fields: Any) -> pb.SessionFinished:
    return Ending(pb.OUTCOME_RATE_LIMITED, **fields).message(1.2345)


def test_units_of_an_end() -> None:
    """Seconds and milliseconds of an ending become durations and times, rounded to the millisecond."""
    told = finished(retry_after=90.0004, retry_at=1_735_689_600_001)
    assert told.duration.ToMilliseconds() == 1234
    assert told.retry_after.ToMilliseconds() == 90_000
    assert told.retry_time.ToMilliseconds() == 1_735_689_600_001
    assert finished(retry_after=0.0005001).retry_after.ToMicroseconds() == 1000
    begun = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    spanned = Ending(pb.OUTCOME_SUCCEEDED).message(None, Span(begun, begun + timedelta(microseconds=7)))
    assert spanned.agent_start_time.ToDatetime(UTC) == begun
    assert spanned.agent_end_time.ToMicroseconds() - spanned.agent_start_time.ToMicroseconds() == 7
    assert not spanned.HasField("duration")


def test_units_of_a_request_to_be_started_later() -> None:
    """An agent's own request, of durations and times, is read as seconds and milliseconds."""
    said = pb.SessionFinished(outcome=pb.OUTCOME_RATE_LIMITED)
    said.retry_after.FromMilliseconds(1500)
    said.retry_time.FromMilliseconds(1_735_689_600_001)
    ending = agent_ending(Exit(code=1), said)
    assert (ending.retry_after, ending.retry_at) == (1.5, 1_735_689_600_001)


def test_units_of_memory() -> None:
    """Bytes are told as whole MiB."""
    assert " 2 MiB " in agent_ending(Exit(signal=signal.SIGKILL, memory=(3 << 20) - 1), None).reason
    assert " 3 MiB " in agent_ending(Exit(signal=signal.SIGKILL, memory=3 << 20), None).reason
    assert "SIGKILL" in agent_ending(Exit(signal=signal.SIGKILL), None).reason


@pytest.mark.parametrize(("count", "named"), [(20, 20), (21, 20)])
async def test_paths_that_changed_around_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, named: int
) -> None:
    """Of more changed paths than are named, the first are named, and all are counted."""
    paths = [f"f{number:02}" for number in range(count)]
    monkeypatch.setattr(outside_changes, "now", lambda _: 1)
    monkeypatch.setattr(outside_changes, "changed", lambda *_: paths)
    watch = Watch()
    stay = await watch.begin(AttemptName("r", "e", "t", 1), tmp_path, tmp_path)
    told = await watch.end(stay)
    assert told == pb.SurroundingsChanged(paths=paths[:named], count=count)


@pytest.mark.parametrize(("beyond", "seconds"), [(0, 90), (1, None), (2, None), (100, None)])
def test_length_of_a_line_that_asks_for_a_later_start(beyond: int, seconds: int | None) -> None:
    """A line of 100 bytes that comes in pieces is read; a longer one is ignored, and never cut within its number."""
    words = b"heddle-retry-after:"
    line = words + b" " * (100 - len(words) - 2 + beyond) + b"90"
    translator = CommandTranslator()
    for piece in (line[:50], line[50:], b"\n"):
        translator.stdout(piece)
    told = translator.finished
    assert (told.retry_after.seconds if told else None) == seconds
