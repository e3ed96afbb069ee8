"""What a browser shows before and without the scripts of a page."""

import re
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.counting_link import CountingLink
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers

# What the first paint of a board may transfer, in bytes.
MOST_BYTES: Final = 250_000

# One agent works; the other epics wait for its slot.
CROWD: Final = "name: Crowd\nepics:\n" + "".join(
    f"""  - key: epic-{number}
    title: Part {number} of the product
    tasks: [{{key: t, title: Write part {number}, prompt: Do it., script: [{{say: I begin.}}, {{wait: 30m}}]}}]
"""
    for number in range(200)
)


@pytest.mark.parametrize("path", ["/", "/workers"])
def test_without_scripts_a_page_says_what_it_needs(browser: Browser, servers: Servers, path: str) -> None:
    """A browser without JavaScript shows why the page is empty."""
    context = browser.new_context(base_url=servers.url, java_script_enabled=False)
    context.add_cookies([servers.cookie])
    page = context.new_page()
    page.goto(path)
    expect(page.get_by_text("Heddle needs JavaScript.")).to_be_visible()
    context.close()


def test_a_slow_line_shows_the_frame_first(page: Page) -> None:
    """The frame of the page is painted before any other file has arrived, and the page then takes its place."""
    held: list[Route] = []
    free = False

    def hold(route: Route) -> None:
        if free:
            route.continue_()
        else:
            held.append(route)

    page.route("**/assets/**", hold)
    page.goto("/", wait_until="commit")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    expect(page.locator(".first header")).to_have_text("Heddle")
    assert re.fullmatch(
        r"rgb\(\d+, \d+, \d+\)", page.evaluate("getComputedStyle(document.body).backgroundColor")
    )
    free = True
    for each in held:
        each.continue_()
    expect(page.locator(".topbar")).to_be_visible()
    expect(page.locator(".first")).to_have_count(0)


def test_the_first_paint_of_a_board_transfers_little(browser: Browser, servers: Servers, runs: Runs) -> None:
    """With an empty cache, the board of 200 epics transfers at most 250 kB, and its socket is compressed."""
    name = runs.start(CROWD, max_parallel=1)
    runs.wait_for(f"{name}/epics/epic-0/tasks/t/attempts/1", "running")
    with CountingLink(servers.url.removeprefix("http://")) as link:
        context = browser.new_context(base_url=link.url, viewport={"width": 1440, "height": 900})
        context.add_cookies([servers.cookie | {"url": link.url}])
        page = context.new_page()
        page.goto(f"/{name}")
        expect(page.locator(".lane")).to_have_count(200)
        expect(page.locator(".live.is-live")).to_be_visible()
        received = link.received
        context.close()
    runs.cancel(name)
    assert len(received) <= MOST_BYTES
    upgrade = received[received.index(b"101 Switching Protocols") :]
    assert b"permessage-deflate" in upgrade[: upgrade.index(b"\r\n\r\n")]
