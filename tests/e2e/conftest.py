"""A real browser on real services; every test fails on an error in the browser's console."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser_setup import ADVICE, chromium_path
from tests.e2e.plans import BUSY, DEEP
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.support.repositories import make_repository

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# A busy machine is slow, not wrong.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("heddle") / "home")
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.fail(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("project") / "shop", {"app.py": "print('shop')\n"})


@pytest.fixture(scope="package")
def runs(servers: Servers, repository: Path) -> Runs:
    return Runs(servers.url, servers.token, repository)


@pytest.fixture(scope="package")
def busy(runs: Runs) -> Iterator[str]:
    """A run with every kind of session, which stays active during the tests."""
    name = runs.start(BUSY)
    runs.wait_for(f"{name}/epics/search/tasks/index/attempts/1", "accepted")
    runs.wait_for(f"{name}/epics/payments/tasks/refunds/attempts/1", "failed")
    yield name
    runs.cancel(name)


@pytest.fixture(scope="package")
def deep(runs: Runs) -> Iterator[str]:
    """A run with one epic: a task that failed once, another, and one whose agent asks."""
    name = runs.start(DEEP)
    runs.wait_for(f"{name}/epics/search/tasks/decay/attempts/1", "waiting")
    yield name
    runs.cancel(name)


@pytest.fixture(scope="package")
def visitor(browser: Browser, servers: Servers) -> Iterator[BrowserContext]:
    """A returning visitor: scripts and styles are fetched once, by the first test."""
    context = browser.new_context(
        base_url=servers.url,
        viewport={"width": 1440, "height": 900},
        # Without animations, a machine without a graphics processor is fast enough for the test.
        reduced_motion="reduce",
    )
    # A busy machine is slow, not wrong.
    context.set_default_timeout(45_000)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext, servers: Servers, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab in a browser without stored state of other tests.

    A test marked `complains(PATTERN)` allows console errors that match, which the browser itself writes.
    """
    visitor.add_cookies([servers.cookie])
    visitor.grant_permissions(["clipboard-write"])
    page = visitor.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.evaluate("location.protocol.startsWith('http') && (localStorage.clear(), sessionStorage.clear())")
    for each in visitor.pages:
        each.close()
    visitor.clear_cookies()
    visitor.clear_permissions()
    visitor.set_offline(offline=False)
    marker = request.node.get_closest_marker("complains")
    if marker is not None:
        complaints = [each for each in complaints if not re.search(marker.args[0], each)]
    assert complaints == []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "complains(pattern): errors that the browser may write")
