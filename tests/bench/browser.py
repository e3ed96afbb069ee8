"""The web app in a real browser on a busy run: the first card, the delay of an event, frames, modals, long logs.

A real ui_svc process and a real Chromium; only the scheduler is fake, so that the
load is as large as requested and the same each time (busy_scheduler.py).
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psutil
import socketio  # type: ignore[import-untyped]  # ships no types
from playwright.async_api import Browser, Page, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeout

from heddle.rpc.serving import Server
from tests.bench.busy_scheduler import RUN, BusyScheduler, attempt_of
from tests.bench.table import Table, percentile
from tests.browser_setup import ADVICE, chromium_path
from tests.e2e.conftest import FLAGS
from tests.support.fleet import Fleet

# Summaries a second over all cards; the API sends at most two a second for each session.
RATE: Final = 1000

LOG_LINES: Final = 100_000
VIEWERS: Final = 20

# Cards that a viewer sees: compact rows of a screen, and those near it.
_IN_SIGHT: Final = 40

# Seconds of each measurement under load.
PERIOD: Final = 10.0

# Seconds for each of the four measurements, so that the benchmark ends within eight
# minutes. A measurement that takes longer is a row without a figure, so that the others are still shown.
BOUND: Final = 110

# ms until one element must be on the page.
_TIMEOUT: Final = 90_000

_SLOW: Final = "too slow"

_T = TypeVar("_T")

# Records in the page the age in ms of every text that contains its send time,
# and when each frame was drawn.
_OBSERVE: Final = """() => {
  window.delays = [];
  window.frames = [];
  const note = (text) => {
    const sent = /sent=([0-9.]+)/.exec(text ?? "");
    if (sent) window.delays.push(performance.timeOrigin + performance.now() - Number(sent[1]));
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "characterData") note(change.target.data);
      else for (const node of change.addedNodes) note(node.textContent);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
  const frame = (now) => { window.frames.push(now); requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""

# Sessions that are opened one after another, and seconds between them.
_OPENED: Final = 9
_REST: Final = 0.5

# Clicks a card; resolves with the ms until the modal was painted.
_OPEN_MODAL: Final = """(selector) => new Promise((resolve) => {
  const began = performance.now();
  const look = () => {
    if (document.querySelector("dialog[open] .tabs")) requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
    else requestAnimationFrame(look);
  };
  document.querySelector(selector).click();
  look();
})"""


class Board(NamedTuple):
    """The measurements on a board with this many cards; None for those that failed."""

    first_card: float | None = None
    delays: list[float] | None = None
    frames: float | None = None
    modals: list[float] | None = None


async def run() -> Table:
    """Measures; takes about a minute and a half, and at most eight on a busy machine."""
    path = chromium_path()
    if path is None:
        raise RuntimeError(ADVICE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            small = await _bounded(_board(browser, 200)) or Board()
            large = await _bounded(_board(browser, 1000)) or Board()
            log = await _bounded(_long_log(browser))
        finally:
            await browser.close()
    share, bytes_each = await _bounded(_crowd(500)) or (None, None)
    return Table(
        "Web app",
        f"A real ui_svc and Chromium on one machine, {RATE:,} summaries a second for {PERIOD:.0f} s. "
        "Delay: from the scheduler's send to the change on the page.",
        ("figure", "measured", "aim", "ratio"),
        [
            _at_most("first card, cold, 200 cards, ms", small.first_card, 1500),
            _at_most("event to page, 200 cards, median ms", _percentile(small.delays, 50), None),
            _at_most("event to page, 200 cards, 95th percentile, ms", _percentile(small.delays, 95), 150),
            _at_least("frames a second, 200 cards", small.frames, 50),
            _at_most("modal painted, 200 cards, the first, ms", _first(small.modals), 100),
            _at_most(
                f"modal painted, 200 cards, median of {_OPENED}, ms", _percentile(small.modals, 50), 100
            ),
            _at_most("first card, cold, 1,000 cards, ms", large.first_card, None),
            _at_most("event to page, 1,000 cards, 95th percentile, ms", _percentile(large.delays, 95), None),
            _at_least("frames a second, 1,000 cards", large.frames, None),
            _at_most("modal painted, 1,000 cards, the first, ms", _first(large.modals), None),
            _at_most(
                f"modal painted, 1,000 cards, median of {_OPENED}, ms", _percentile(large.modals, 50), None
            ),
            _at_most(f"log of {LOG_LINES:,} lines open, ms", log, 1000),
            _at_most(f"500 sessions, {VIEWERS} viewers: ui_svc, % of a core", _times(share, 100), 100),
            _at_most("the same: kB a second to each viewer", _times(bytes_each, 0.001), 150),
        ],
    )


@asynccontextmanager
async def _web_app(scheduler: BusyScheduler) -> AsyncIterator[tuple[str, int]]:
    """Serves the web app on the scheduler; yields its address and the id of its process."""
    server = Server(scheduler.service(), "127.0.0.1:0")
    await server.start()
    with tempfile.TemporaryDirectory() as scratch:
        fleet = Fleet(Path(scratch) / "home", {"HEDDLE_SCHEDULER": server.address})
        try:
            await fleet.start_web_app()
            yield f"http://{fleet.ui}", fleet.process_id("ui_svc")
        finally:
            fleet.stop()
            await server.stop()


async def _board(browser: Browser, cards: int) -> Board:
    async with _web_app(BusyScheduler(cards, RATE)) as (url, _), _tab(browser, url) as page:
        # The first visitor of a process also waits for what the process reads only once.
        await _first_card(page, url)
        async with _tab(browser, url) as cold:
            first_card = await _first_card(cold, url)
        await page.evaluate(_OBSERVE)
        # The last cards of a large board are drawn some seconds after the first.
        await page.locator(".card").nth(cards - 1).wait_for(timeout=_TIMEOUT)
        await page.evaluate("() => { window.delays = []; window.frames = []; }")
        await asyncio.sleep(PERIOD)
        delays, frames = await page.evaluate("[window.delays, window.frames]")
        modals = [await _open(page, number) for number in range(_OPENED)]
    return Board(first_card, delays or None, len(frames) / PERIOD, modals)


async def _open(page: Page, number: int) -> float:
    """Opens a session and closes it; returns the ms from the click to the first paint."""
    modal: float = await page.evaluate(_OPEN_MODAL, f'[data-attempt="{attempt_of(number)}"]')
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog[open]", state="detached")
    await asyncio.sleep(_REST)
    return modal


async def _first_card(page: Page, url: str) -> float:
    """Returns the ms from the request to the first card."""
    began = time.perf_counter()
    await page.goto(f"{url}/{RUN}", wait_until="commit")
    await page.wait_for_selector(".card", timeout=_TIMEOUT)
    return (time.perf_counter() - began) * 1000


async def _long_log(browser: Browser) -> float:
    """Returns the ms from the click on the tab to the newest lines, in a page that has loaded no lines yet."""
    async with _web_app(BusyScheduler(10, 20, LOG_LINES)) as (url, _), _tab(browser, url) as page:
        await _first_card(page, url)
        began = time.perf_counter()
        await page.click(f'[data-attempt="{attempt_of(3)}"]')
        await page.click("#tab-logs")
        await page.get_by_text(f"line {LOG_LINES - 1}:").first.wait_for(timeout=_TIMEOUT)
        return (time.perf_counter() - began) * 1000


async def _crowd(sessions: int) -> tuple[float, float]:
    """Returns the share of a core that the web app needs for VIEWERS of a board, and the bytes a second to each.

    Every session has the two summaries a second that the API allows. The viewers are sockets that receive what a
    browser's socket does; each sees other cards, and scrolls once a second. Bytes are counted before compression.
    """
    async with _web_app(BusyScheduler(sessions, 2 * sessions)) as (url, process_id):
        viewers = [socketio.AsyncClient(websocket_extra_options={"compress": 15}) for _ in range(VIEWERS)]
        received = 0

        def take(frame: Any) -> None:
            nonlocal received
            received += len(str(frame))

        try:
            for place, viewer in enumerate(viewers):
                viewer.on("heddle_run", take)
                viewer.on("heddle_summaries", take)
                await viewer.connect(
                    url,
                    headers={"Authorization": "Bearer token"},
                    socketio_path="/_nicegui_ws/socket.io",
                    transports=["websocket"],
                    wait_timeout=60,
                )
                await viewer.call("heddle_look_at_run", _sight(place, 0, sessions), timeout=60)
            process = psutil.Process(process_id)
            before, received = sum(process.cpu_times()[:2]), 0
            for second in range(round(PERIOD)):
                for place, viewer in enumerate(viewers):
                    await viewer.emit("heddle_see", _sight(place, second, sessions))
                await asyncio.sleep(1)
            spent = sum(process.cpu_times()[:2]) - before
        finally:
            for viewer in viewers:
                await viewer.disconnect()
    if not received:
        raise RuntimeError("no frame reached the viewers")
    return spent / PERIOD, received / PERIOD / VIEWERS


def _sight(viewer: int, second: int, sessions: int) -> dict[str, Any]:
    """Returns what a viewer tells about the cards that it has in sight."""
    first = (viewer * 23 + second * _IN_SIGHT // 4) % sessions
    cards = [str(attempt_of((first + place) % sessions).parent) for place in range(_IN_SIGHT)]
    return {"name": str(RUN), "cards": cards}


@asynccontextmanager
async def _tab(browser: Browser, url: str) -> AsyncIterator[Page]:
    """Opens a tab with an empty cache."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    # The scheduler of these measurements accepts any token.
    name = f"heddle-session-{url.rpartition(':')[2]}"
    await context.add_cookies([{"name": name, "value": "token", "url": url}])
    context.set_default_timeout(_TIMEOUT)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def _bounded(measurement: Awaitable[_T]) -> _T | None:
    """Returns what was measured; None if the machine was too busy for it."""
    try:
        async with asyncio.timeout(BOUND):
            return await measurement
    except (TimeoutError, PlaywrightTimeout):
        return None


def _first(values: list[float] | None) -> float | None:
    return values[0] if values else None


def _percentile(values: list[float] | None, percent: int) -> float | None:
    return percentile(values, percent) if values and len(values) > 1 else None


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _at_most(label: str, measured: float | None, aim: float | None) -> tuple[str, str, str, str]:
    return _row(label, measured, aim, "≤")


def _at_least(label: str, measured: float | None, aim: float | None) -> tuple[str, str, str, str]:
    return _row(label, measured, aim, "≥")


def _row(label: str, measured: float | None, aim: float | None, sign: str) -> tuple[str, str, str, str]:
    figure = _SLOW if measured is None else f"{measured:,.0f}"
    if aim is None:
        return label, figure, "", ""
    return label, figure, f"{sign} {aim:,}", "" if measured is None else f"{measured / aim:.2f} x"
