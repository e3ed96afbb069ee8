"""A board of many sessions is up to date where somebody looks, and nothing is sent for the rest."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from heddle.rpc.serving import Server
from tests.bench.busy_scheduler import RUN, BusyScheduler, attempt_of
from tests.e2e.waits import wait_until
from tests.support.fleet import Fleet

SESSIONS: Final = 60
LAST: Final = attempt_of(SESSIONS - 1)

# The time in ms at which the line was sent that a card shows; the card is on the page, in sight or not.
SENT: Final = """(attempt) => {
  const card = document.querySelector(`[data-attempt="${attempt}"]`)?.closest(".card");
  return Number(/sent=([0-9.]+)/.exec(card?.textContent ?? "")?.[1] ?? 0);
}"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web app with a run of SESSIONS sessions, each of which writes a line a second."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Server, Fleet]:
        server = Server(BusyScheduler(SESSIONS, SESSIONS).service(), "127.0.0.1:0")
        await server.start()
        fleet = Fleet(tmp_path_factory.mktemp("crowd") / "home", {"HEDDLE_SCHEDULER": server.address})
        await fleet.start_web_app()
        return server, fleet

    server, fleet = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield f"http://{fleet.ui}"
    finally:
        fleet.stop()
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def is_current(page: Page, attempt: object) -> None:
    """Waits until a card shows a line that was sent after this call."""
    began = page.evaluate("Date.now()")
    wait_until(page, f"([attempt, began]) => ({SENT})(attempt) > began", [str(attempt), began])


def gets_only(page: Page, told: list[set[str]], this: object, *, not_this: object) -> None:
    """Waits until a card is current while no line of another session arrives."""
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        told.clear()
        # Between two lines of one session, every session writes one.
        is_current(page, this)
        is_current(page, this)
        if str(not_this) not in set().union(*told):
            return
    pytest.fail(f"lines of {not_this} still arrive, which is out of sight")


def test_a_viewer_gets_what_is_in_sight(browser: Browser, crowd: str) -> None:
    """Cards in sight are current, also after a scroll, a filter and a session; other lines are not sent."""
    context = browser.new_context(base_url=crowd, viewport={"width": 1440, "height": 900})
    # The scheduler of this test accepts any token.
    name = f"heddle-session-{crowd.rpartition(':')[2]}"
    context.add_cookies([{"name": name, "value": "token", "url": crowd}])
    page = context.new_page()
    # The attempts in each message about what is in sight.
    told: list[set[str]] = []

    def note(frame: Any) -> None:
        text = frame if isinstance(frame, str) else frame.decode()
        if '"heddle_summaries"' in text:
            told.append(set(re.findall(r'"attempt":"([^"]+)"', text)))

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", note)

    page.on("websocket", listen)
    page.goto(f"/{RUN}")
    expect(page.locator(".card")).to_have_count(SESSIONS)
    gets_only(page, told, attempt_of(0), not_this=LAST)

    page.locator(f'[data-attempt="{LAST}"]').scroll_into_view_if_needed()
    gets_only(page, told, LAST, not_this=attempt_of(0))

    page.get_by_role("searchbox").fill(attempt_of(SESSIONS // 2).epic)
    expect(page.locator(".card")).to_have_count(1)
    is_current(page, attempt_of(SESSIONS // 2))

    # The board behind a session is covered; what the session shows is current.
    page.locator(".card-link").click()
    dialog = page.get_by_role("dialog")
    shown = dialog.get_by_text(re.compile(r"src/part_\d+\.py")).first
    before = shown.text_content()
    expect(shown).not_to_have_text(before or "")
    page.keyboard.press("Escape")
    is_current(page, attempt_of(SESSIONS // 2))
    context.close()
