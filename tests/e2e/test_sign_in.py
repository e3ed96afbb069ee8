"""A sign-in proxy in front of the web app; the sign-in expires while a page is open."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.runs import Runs

SIGN_IN = "<!doctype html><title>Company</title><h1>Sign in</h1>"


class Proxy:
    """A proxy in front of the web app, which blocks every request without a sign-in."""

    def __init__(self, page: Page) -> None:
        self.signed_in = True
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        if self.signed_in:
            route.continue_()
        elif route.request.is_navigation_request():
            route.fulfill(body=SIGN_IN, content_type="text/html")
        else:
            route.fulfill(status=401, body=SIGN_IN, content_type="text/html")


@pytest.mark.complains("401 ")
def test_an_expired_sign_in_is_told_and_leads_to_a_new_one(page: Page, runs: Runs, busy: str) -> None:
    """A click after expiry shows an error; the sign-in link leads back to the same address."""
    proxy = Proxy(page)
    page.goto(f"/{busy}")
    expect(page.locator(".lane h3").first).to_be_visible()
    proxy.signed_in = False
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".toast")).to_contain_text("Your sign-in has expired. Nothing was changed")
    expect(page.locator(".banner")).to_contain_text("Your sign-in has expired")
    expect(page.locator(".lane h3").first).to_be_visible()
    page.get_by_role("button", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url.endswith(busy)
    proxy.signed_in = True
    page.reload()
    expect(page.locator(".run-line .status")).to_have_text("Running")
    expect(page.locator(".banner")).to_have_count(0)
    assert runs.get_run(busy)["state"] == "running"


@pytest.mark.complains("401 ")
def test_a_refused_connection_finds_out_that_it_needs_a_sign_in(page: Page, busy: str) -> None:
    """A page recognises an expired sign-in without a click, also if the proxy redirects to its own page."""
    proxy = Proxy(page)
    page.goto(f"/{busy}")
    expect(page.locator(".lane h3").first).to_be_visible()
    proxy.signed_in = False
    # As the page's socket does if the proxy refuses it.
    page.evaluate("window.socket.emitReserved('connect_error', new Error('websocket error'))")
    expect(page.get_by_role("button", name="Sign in again")).to_be_visible()
