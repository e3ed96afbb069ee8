"""Signing in to the board, and what a browser without a session gets."""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from heddle import pb
from heddle.client import HeddleClient
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.test_accessibility import grave_violations
from tests.e2e.waits import wait_until

T = TypeVar("T")

SLOW = """\
name: Slow
epics:
  - key: one
    tasks:
      - key: wait
        prompt: Wait.
        agent: scripted
        script:
          - wait: 30m
"""


@pytest.fixture
def stranger(browser: Browser, servers: Servers) -> Iterator[BrowserContext]:
    """A browser that never signed in."""
    with browser.new_context(base_url=servers.url) as context:
        context.set_default_timeout(45_000)
        yield context


def _outside(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in another thread: the browser's driver has its own event loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def code(servers: Servers) -> str:
    async def create() -> pb.CreateSignInCodeResponse:
        async with servers.client() as client:
            return await client.create_sign_in_code()

    return _outside(create()).code


def revoke_sessions(servers: Servers) -> None:
    async def revoke(client: HeddleClient) -> None:
        for token in await client.list_tokens():
            await client.revoke_token(token.name)

    async def run() -> None:
        async with servers.client() as client:
            await revoke(client)

    _outside(run())


def status(servers: Servers, path: str, data: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(servers.url + path, data=data, headers=headers)  # noqa: S310 (loopback)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 (loopback)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def sign_in(context: BrowserContext, servers: Servers) -> Page:
    page = context.new_page()
    page.goto(f"/sign-in?code={code(servers)}")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    return page


@pytest.mark.parametrize(
    "path", ["/", "/runs/x", "/new", "/api/runs", "/api/workers", "/_nicegui_ws/socket.io/?EIO=4"]
)
def test_nothing_is_served_without_a_session(servers: Servers, path: str) -> None:
    """Pages, endpoints and sockets answer 401 to a request without a valid token."""
    assert status(servers, path) == 401
    for token in ("wrong", "schl\u00fcssel"):
        assert status(servers, path, Authorization=f"Bearer {token}") == 401
    assert status(servers, path, Cookie=f"{servers.cookie['name']}=wrong") == 401
    assert status(servers, path, data=b"{}") == 401


def test_a_program_signs_in_with_a_token(servers: Servers) -> None:
    """The endpoints accept the token that the API accepts."""
    assert status(servers, "/api/runs", Authorization=f"Bearer {servers.token}") == 200


def test_health_needs_no_session(servers: Servers) -> None:
    """Probes work without a sign-in."""
    assert status(servers, "/healthz") == 200


def test_a_link_signs_in_once(servers: Servers, stranger: BrowserContext) -> None:
    """The link leads to the board, again in the same browser; in another it no longer works, and a page says why."""
    page = stranger.new_page()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("heddle open")).to_be_visible()
    assert grave_violations(page) == []
    link = f"/sign-in?code={code(servers)}"
    page.goto(link)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    (cookie,) = stranger.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.goto(f"{link}&next=/costs")
    expect(page).to_have_url(re.compile("/costs$"))
    stranger.clear_cookies()
    page.goto(link)
    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    assert stranger.cookies() == []


def test_a_revoked_session_loses_its_pages(servers: Servers, stranger: BrowserContext) -> None:
    """An open page of a revoked session is cut off within seconds, and its next request leads to the sign-in."""
    page = sign_in(stranger, servers)
    # The socket of the page before the reload is not the one to wait for.
    wait_until(page, "window.did_handshake === true")
    with page.expect_event("websocket", timeout=45_000) as opened:
        page.reload()
    socket = opened.value
    wait_until(page, "window.did_handshake === true")
    with socket.expect_event("close", timeout=45_000):
        revoke_sessions(servers)
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_stolen_cookie_changes_nothing(servers: Servers, stranger: BrowserContext, runs: Runs) -> None:
    """Cookies reach servers on all ports of a host: who gets it there can read, and neither change nor sign in as more.

    The page itself adds what it stored for its own port when someone signed in.
    """
    name = runs.start(SLOW)
    page = sign_in(stranger, servers)
    (cookie,) = stranger.cookies()
    stolen = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    as_json = {"Content-Type": "application/json"}
    assert status(servers, f"/api/{name}/turns", None, **stolen) == 200
    assert status(servers, f"/api/{name}:pause", data=b"{}", **stolen, **as_json) == 403
    as_token = {"Authorization": f"Bearer {cookie['value']}"}
    assert status(servers, f"/api/{name}:pause", data=b"{}", **as_token, **as_json) == 403
    page.goto(f"/{name}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".run-line .status")).to_have_text("Paused")
    runs.cancel(name)


def test_signing_out_ends_the_session(servers: Servers, stranger: BrowserContext) -> None:
    """After a sign-out the token of the session is of no use, even to who kept it."""
    page = sign_in(stranger, servers)
    (cookie,) = stranger.cookies()
    kept = f"{cookie['name']}={cookie['value']}"
    assert status(servers, "/api/runs", Cookie=kept) == 200
    page.evaluate("fetch('/sign-out', {method: 'POST'})")
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert status(servers, "/api/runs", Cookie=kept) == 401
