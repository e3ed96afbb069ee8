"""Limits of the web app: what is exactly at one is shown or sent, and one more is not."""

import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError, not_found
from heddle.names import AttemptName, RunName
from ui_svc.endpoints import body_limit
from ui_svc.endpoints.runs import RunCalls
from ui_svc.endpoints.sessions import END_OF_LOG, SessionCalls
from ui_svc.endpoints.terminal import _message, _typed
from ui_svc.feeds import eta, feed
from ui_svc.feeds.attention_feed import AttentionFeed
from ui_svc.feeds.eta import Forecasts
from ui_svc.feeds.rooms import Rooms
from ui_svc.feeds.run_feeds import RunsFeed
from ui_svc.feeds.session_feed import SessionFeed
from ui_svc.views.attempt_comparison import change
from ui_svc.views.events import tool

ATTEMPT = AttemptName("r", "e", "t", 1)
RUN = RunName("r")


class Scheduler:
    """Records how it is called, and returns pages of a log whose events have the given sequences."""

    def __init__(self, *log: int, page: int = 2000) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._log, self._page = log, page

    async def list_session_events(self, name: str, **fields: Any) -> pb.ListSessionEventsResponse:
        self.calls.append((name, fields))
        found = [each for each in self._log if each > fields.get("after", 0)]
        page = found[-1:] if fields["page_size"] == 1 else found[: self._page]
        return pb.ListSessionEventsResponse(
            events=[pb.Event(sequence=each) for each in page],
            more=page != found and fields["page_size"] != 1,
            oldest_sequence=self._log[0] if self._log else 0,
        )

    async def get_attempt(self, name: str) -> pb.Attempt:
        return pb.Attempt(name=name)

    async def list_runs(self, **fields: Any) -> pb.ListRunsResponse:
        self.calls.append(("runs", fields))
        return pb.ListRunsResponse(next_page_token="2")

    async def list_costs(self, parent: str, **fields: Any) -> pb.ListCostsResponse:
        self.calls.append((parent, fields))
        return pb.ListCostsResponse(next_page_token="3")

    async def get_diff(self, name: str, **fields: Any) -> pb.GetDiffResponse:
        self.calls.append((name, fields))
        return pb.GetDiffResponse(text="x", truncated=True)


def as_client(scheduler: object) -> HeddleClient:
    return cast("HeddleClient", scheduler)


async def test_sizes_of_pages_and_diffs() -> None:
    """Runs and costs come in pages of 500, which continue at a token, and a diff has at most 1 MiB."""
    scheduler = Scheduler()
    calls = RunCalls(as_client(scheduler), one_machine=True)
    assert (await calls.list_runs("1"))["next"] == "2"
    assert (await calls.list_costs("runs/r", "2"))["next"] == "3"
    assert await calls.run_diff(RUN) == {"text": "x", "truncated": True}
    assert scheduler.calls == [
        ("runs", {"page_size": 500, "page_token": "1"}),
        ("runs/r", {"page_size": 500, "page_token": "2"}),
        ("runs/r", {"max_bytes": 1 << 20}),
    ]


async def test_a_page_of_a_log() -> None:
    """A page has 2000 events: the newest, those before a sequence, or those after one, which may be the first."""
    scheduler = Scheduler()
    calls = SessionCalls(as_client(scheduler))
    await calls.list_events(ATTEMPT)
    await calls.list_events(ATTEMPT, before=7)
    await calls.list_events(ATTEMPT, after=0)
    await calls.list_events(ATTEMPT, after=5)
    asked = [(fields["after"], fields["before"], fields["page_size"]) for _, fields in scheduler.calls]
    assert asked == [(0, END_OF_LOG, 2000), (0, 7, 2000), (0, 0, 2000), (5, 0, 2000)]


@pytest.mark.parametrize(
    ("log", "after"), [((), [0]), ((1,), [0]), ((1, 2), [0]), ((1, 2, 3), [0, 2]), ((7, 8, 9), [6, 8])]
)
async def test_a_whole_log_is_downloaded(log: Sequence[int], after: list[int]) -> None:
    """From the oldest event that is kept to the last one, page after page, each event once."""
    scheduler = Scheduler(*log, page=2)
    answer = await SessionCalls(as_client(scheduler)).download_events(ATTEMPT)
    parts = [str(part) async for part in cast("AsyncIterator[str]", cast("Any", answer).body_iterator)]
    assert [int(json.loads(line)["sequence"]) for line in "".join(parts).splitlines()] == list(log)
    assert [fields["after"] for _, fields in scheduler.calls[1:]] == after
    assert {fields["page_size"] for _, fields in scheduler.calls[1:]} == {2000}


@pytest.mark.parametrize(("length", "accepted"), [(4096, True), (4097, False)])
def test_length_of_a_terminals_message(length: int, accepted: bool) -> None:
    """A message with a size or the token has at most 4 Ki characters."""
    text = json.dumps({"token": ""}).ljust(length)
    if accepted:
        assert _message(text) == {"token": ""}
    else:
        with pytest.raises(ValueError, match="too long"):
            _message(text)


async def test_what_is_typed_is_sent_in_parts() -> None:
    """A paste of 32 KiB is one part; a longer one is split, and nothing of it is lost or reordered."""
    part = bytes(range(256)) * 128
    messages: list[dict[str, Any]] = [
        {"type": "websocket.receive", "bytes": part},
        {"type": "websocket.receive", "bytes": part + b"!"},
        {"type": "websocket.receive", "text": '{"columns": 80, "rows": 24}'},
        {"type": "websocket.receive", "bytes": b"", "text": None},
        {"type": "websocket.receive", "bytes": b"x"},
    ]

    async def receive() -> dict[str, Any]:
        if not messages:
            raise WebSocketDisconnect
        return messages.pop(0)

    typed = [each async for each in _typed(cast("WebSocket", SimpleNamespace(receive=receive)))]
    assert typed == [part, part, b"!", pb.TerminalSize(columns=80, rows=24), b"x"]
    assert len(part) == 32 << 10


class Watched:
    """A scheduler whose streams of runs end at once, and that records for how many they were."""

    def __init__(self) -> None:
        self.newest: list[int] = []

    async def watch_runs(self, newest: int, on_break: object) -> AsyncIterator[pb.WatchRunsResponse]:
        self.newest.append(newest)
        yield pb.WatchRunsResponse(complete=True)

    async def list_holds(self) -> list[pb.Hold]:
        return []


async def test_number_of_runs_in_the_feeds() -> None:
    """The list shows the newest 200 runs; the items of a person are looked for in the newest hundred."""
    scheduler = Watched()
    await RunsFeed(as_client(scheduler), Rooms())._read_once()
    await AttentionFeed(as_client(scheduler), Rooms())._read_once()
    assert scheduler.newest == [200, 100]


class Log:
    """A scheduler with one run's log."""

    def __init__(self) -> None:
        self.after: list[int] = []
        self.log: list[pb.Event] = []

    async def list_events(self, name: str, after: int) -> AsyncIterator[pb.Event]:
        self.after.append(after)
        for each in self.log:
            if each.sequence > after:
                yield each


async def test_a_log_is_read_once_for_the_budget_that_was_reached() -> None:
    """Each part of a run's log is read once, and the newest event about a budget counts."""
    scheduler = Log()
    found = AttentionFeed(as_client(scheduler), Rooms())
    scheduler.log = [pb.Event(sequence=1, budget_reached=pb.BudgetReached()), pb.Event(sequence=2)]
    assert await found._reached(pb.Run(name="runs/r", sequence=2)) == scheduler.log[0]
    assert await found._reached(pb.Run(name="runs/r", sequence=2)) == scheduler.log[0]
    scheduler.log += [pb.Event(sequence=3, budget_reached=pb.BudgetReached()), pb.Event(sequence=4)]
    assert await found._reached(pb.Run(name="runs/r", sequence=4)) == scheduler.log[2]
    assert scheduler.after == [0, 2]


class Session:
    """A scheduler with one session, whose stream has the given answers and then fails or ends."""

    def __init__(self, *answers: pb.WatchSessionResponse, error: HeddleError | None = None) -> None:
        self.after: list[int] = []
        self._answers, self._error = answers, error

    async def watch_session(
        self, name: str, after: int, on_break: object
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        self.after.append(after)
        for each in self._answers:
            yield each
        if self._error:
            raise self._error


async def test_a_session_continues_after_the_last_event_that_was_sent() -> None:
    """Each frame begins where the one before it ended; a repeated answer does not go back."""
    answers = [
        pb.WatchSessionResponse(events=[pb.Event(sequence=8)], resume_sequence=8),
        pb.WatchSessionResponse(resume_sequence=5),
    ]
    session = SessionFeed(as_client(Session(*answers)), Rooms(), ATTEMPT, 7)
    await session._read_once()
    frame = session._take_changes()
    assert (frame["after"], frame["last"], frame["ended"]) == (7, 8, True)
    assert [each["sequence"] for each in frame["events"]] == [8]
    assert session._take_changes() == {}
    assert session._content()["after"] == 8


async def test_a_session_whose_beginning_was_removed_starts_at_its_oldest_event() -> None:
    """The oldest event that is kept is the next one that is read."""
    gone = HeddleError(pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, "gone", oldest="40")
    scheduler = Session(error=gone)
    session = SessionFeed(as_client(scheduler), Rooms(), ATTEMPT, 7)
    await session._read_once()
    assert session._content()["after"] == 39
    await session._read_once()
    assert scheduler.after == [7, 39]
    assert not session._take_changes()
    other = SessionFeed(as_client(Session(error=not_found(ATTEMPT))), Rooms(), ATTEMPT, 7)
    with pytest.raises(HeddleError):
        await other._read_once()


@pytest.mark.parametrize(("later", "asked"), [(0, 1), (9.9, 1), (10, 2)])
async def test_age_of_a_forecast(later: float, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast is valid for less than ten seconds."""
    calls = []

    async def forecast_run(name: str) -> pb.Forecast:
        calls.append(name)
        return pb.Forecast()

    now = 0.0
    loop = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr(eta, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    forecasts = Forecasts(as_client(SimpleNamespace(forecast_run=forecast_run)))
    run = pb.Run(name="runs/r", state=pb.RUN_STATE_RUNNING)
    await forecasts.of(run)
    now = later
    await forecasts.of(run)
    assert len(calls) == asked


@pytest.mark.parametrize(("took", "seconds"), [(0.049, 0.1), (0.05, 0.25)])
def test_cost_of_a_frame(took: float, seconds: float) -> None:
    """A frame that takes half of the time between two frames slows them down, and so does a hidden tab."""
    assert feed.pause(watched=True, took=took) == seconds
    assert feed.pause(watched=False, took=took) == 0.25


def test_size_of_a_body() -> None:
    """A request has as many bytes as the scheduler accepts, 4 MiB."""
    app = body_limit.BodyLimit(cast("Any", None))
    assert app._most == 4 << 20


@pytest.mark.parametrize(("length", "shown"), [(300, 300), (301, 300)])
def test_length_of_a_tools_target(length: int, shown: int) -> None:
    """A card shows 300 characters of what a tool affects."""
    assert tool(pb.ToolStarted(target="ä" * length))["target"] == "ä" * shown


@pytest.mark.parametrize(("names", "known"), [(199, True), (200, False)])
def test_number_of_failing_tests_that_are_compared(names: int, known: bool) -> None:
    """A report with 200 names may have left out others, so what began to fail is not known."""
    failing = [f"t{number:03}" for number in range(names)]
    before = pb.CheckFinished(tests=pb.TestCounts(failing=failing))
    after = pb.CheckFinished(tests=pb.TestCounts(failing=["new"]))
    assert change(before, after)["began"] == (["new"] if known else None)
    assert change(after, before)["began"] == failing
