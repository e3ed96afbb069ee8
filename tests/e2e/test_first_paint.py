"""What a browser shows before and without the scripts of a page."""

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.servers import Servers


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
