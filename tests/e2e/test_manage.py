"""The pages with forms: workers, worktrees, projects, spending, people, audit, settings and health."""

import asyncio
import re
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from heddle import pb
from heddle.client import HeddleClient
from heddle.samples.example import example_plan
from tests.e2e.plans import DEEP
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.test_accessibility import grave_violations
from tests.e2e.waits import wait_until

T = TypeVar("T")

# Each page, with a text that is there once its content is.
PAGES = {
    "/workers": "slots busy",
    "/worktrees": "On disk",
    "/projects": "Budget of all runs",
    "/spending": "Per agent",
    "/people": "Signed-in browsers",
    "/audit": "CreateRun",
    "/settings": "Default agent",
    "/about": "The machine of the web app",
}


@pytest.fixture(scope="module", autouse=True)
def run(runs: Runs) -> Iterator[str]:
    """A run, so that no page is empty."""
    name = runs.start(DEEP)
    runs.wait_for(f"{name}/epics/search/tasks/decay/attempts/1", "waiting")
    yield name
    runs.cancel(name)


def outside(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in another thread: the browser's driver has its own event loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def token(servers: Servers, role: "pb.Role.ValueType") -> str:
    async def create() -> str:
        async with servers.client() as client:
            request = pb.CreateTokenRequest(user="eve", role=role, title="Eve's phone")
            return (await client.create_token(request)).secret

    return outside(create())


def of_admin(servers: Servers, call: Any) -> Any:
    async def run() -> Any:
        async with servers.client() as client:
            return await call(client)

    return outside(run())


@pytest.fixture
def viewer(browser: Browser, servers: Servers) -> Iterator[Page]:
    """A tab of a person who may only read, on a phone."""
    secret = token(servers, pb.ROLE_VIEWER)
    with browser.new_context(base_url=servers.url, viewport={"width": 390, "height": 844}) as context:
        context.set_default_timeout(45_000)
        context.add_cookies([servers.cookie | {"value": secret}])
        yield context.new_page()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_fits_a_phone(page: Page, path: str) -> None:
    """Axe finds nothing serious, light or dark, the navigation names the page, and 390 pixels are enough."""
    page.goto(path)
    expect(page.get_by_text(PAGES[path]).first).to_be_visible()
    heading = page.get_by_role("heading", level=1).inner_text()
    expect(page.get_by_role("navigation", name="Manage").locator("[aria-current=page]")).to_contain_text(
        heading
    )
    assert grave_violations(page) == []
    # Names of commands are shown as code.
    assert "`" not in page.locator("#content").inner_text()
    page.set_viewport_size({"width": 390, "height": 844})
    # Charts follow the width of the page a moment later.
    wait_until(page, "document.documentElement.scrollWidth <= 390")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_token_is_created_shown_once_and_revoked(page: Page, servers: Servers) -> None:
    """The secret is on the page only until the dialog is closed; it works, and after the revocation it does not."""
    page.goto("/people")
    page.get_by_role("button", name="Create a token").click()
    dialog = page.get_by_role("dialog", name="Create a token")
    dialog.get_by_label("What it is for").fill("Nightly builds")
    dialog.get_by_role("button", name="Create", exact=True).click()
    secret = page.locator(".m-secret").inner_text()

    async def who() -> str:
        async with HeddleClient(servers.scheduler, token=secret, patience=0) as client:
            return (await client.get_caller()).user

    assert outside(who()).startswith("user")
    page.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="Nightly builds")
    expect(row).to_contain_text("Operator")
    assert secret not in page.content()
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    with pytest.raises(Exception, match="token"):
        outside(who())


def test_an_invalid_token_is_explained(page: Page) -> None:
    """What the API refuses is said next to the form, which stays open with its values."""
    page.goto("/people")
    page.get_by_role("button", name="Create a token").click()
    dialog = page.get_by_role("dialog", name="Create a token")
    dialog.get_by_label("Owner").fill("not a name!")
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_text("must consist of 1 to 64 letters")).to_be_visible()
    expect(dialog.get_by_label("Owner")).to_have_value("not a name!")


def test_a_worker_is_drained_by_a_person_who_signed_in(browser: Browser, servers: Servers) -> None:
    """Whoever signed in with a link may change things here too: drain a worker, see who did, and undrain it."""

    async def code() -> str:
        async with servers.client() as client:
            return (await client.create_sign_in_code()).code

    with browser.new_context(base_url=servers.url) as context:
        context.set_default_timeout(45_000)
        page = context.new_page()
        page.goto(f"/sign-in?code={outside(code())}")
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        page.goto("/workers")
        expect(page.get_by_text("free of")).to_be_visible()
        page.get_by_role("button", name="Drain", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        try:
            expect(
                page.get_by_text(re.compile(r"Drained by \w+ just now: no session starts here, and"))
            ).to_be_visible()
            expect(page.locator(".m-badge").get_by_text(re.compile("Draining|Drained"))).to_be_visible()
            assert grave_violations(page) == []
        finally:
            page.get_by_role("button", name="Undrain").click()
        expect(page.get_by_role("button", name="Drain", exact=True)).to_be_visible()
        expect(page.get_by_text("no session starts here")).to_have_count(0)


def test_a_viewer_sees_no_control_that_is_refused(viewer: Page) -> None:
    """A viewer reads the pages; tokens and the audit log say which role they need, and no worktree can be removed."""
    viewer.goto("/people")
    expect(viewer.get_by_text("Only admins see tokens")).to_be_visible()
    expect(viewer.get_by_role("button", name="Create a token")).to_have_count(0)
    viewer.goto("/audit")
    expect(viewer.get_by_text("Only admins read the audit log")).to_be_visible()
    viewer.goto("/worktrees")
    expect(viewer.get_by_text("On disk").first).to_be_visible()
    expect(viewer.get_by_role("button", name="Remove")).to_have_count(0)
    viewer.goto("/about")
    expect(viewer.get_by_text("Workers and agents")).to_be_visible()
    expect(viewer.get_by_text("The machine of the web app")).to_have_count(0)


def test_settings_belong_to_the_person(page: Page, viewer: Page, servers: Servers) -> None:
    """A choice is stored for one person, for all of their browsers, and for no other."""
    page.goto("/settings")
    page.get_by_role("radio", name="Dark").click()
    expect(page.get_by_text("Saved").first).to_be_visible()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    stored = of_admin(servers, lambda client: client.get_preferences())
    assert stored.theme == pb.THEME_DARK
    viewer.goto("/settings")
    expect(viewer.get_by_role("radio", name="System")).to_have_attribute("aria-checked", "true")
    of_admin(servers, lambda client: client.update_preferences(pb.Preferences()))


def test_the_audit_log_is_filtered_and_exported(page: Page, run: str) -> None:
    """Filters leave the matching entries; the export is a CSV file with those."""
    page.goto("/audit")
    page.get_by_label("Call or resource").fill("createrun")
    rows = page.locator("tbody tr")
    expect(rows.filter(has_text="CreateToken")).to_have_count(0)
    expect(rows.filter(has_text=run)).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    text = download.value.path().read_text()
    assert text.startswith("sequence,time,user,method")
    assert run in text
    assert "CreateToken" not in text
    page.get_by_label("Call or resource").fill("no such call")
    expect(page.get_by_text("No entry matches these filters.")).to_be_visible()


@pytest.fixture
def own_servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path / "home")
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_a_worker_that_is_not_reachable_says_so(browser: Browser, own_servers: Servers) -> None:
    """The page of the workers names the reason, and what brings the worker back."""
    # Not the worker of the other tests, whose sessions would be interrupted.
    own_servers.end("agent")
    with browser.new_context(base_url=own_servers.url) as context:
        context.set_default_timeout(45_000)
        context.add_cookies([own_servers.cookie])
        page = context.new_page()
        for _ in range(60):
            page.goto("/workers")
            if page.get_by_text("Not reachable").count():
                break
            page.wait_for_timeout(500)
        expect(page.get_by_text("Not reachable")).to_be_visible()
        expect(page.get_by_text("connects again by itself")).to_be_visible()


def test_the_example_plan_succeeds_on_any_repository(runs: Runs) -> None:
    """The example that the API offers has no errors; as a dry run, it ends well without an agent that is logged in."""
    offered = runs.get("plan:example")
    assert runs.post("plan:check", yaml=offered["yaml"], project="")["problems"] == []
    assert offered["dry_run"] == (offered["agent"] == "scripted")
    name = runs.start(example_plan([]))
    assert runs.wait_for_run(name, "succeeded", "failed", timeout=60)["state"] == "succeeded"


def test_a_repository_is_checked_without_a_plan(runs: Runs) -> None:
    """A path without a repository, and a base that does not exist, are told before there is a valid plan."""
    good = runs.post("project:check", project=str(runs.repository))
    assert (good["problem"], good["fields"]) == ("", {})
    missing = runs.post("project:check", project="/no/such/repository")
    assert "/no/such/repository" in missing["problem"]
    base = runs.post("project:check", project=str(runs.repository), base_ref="no-such-branch")
    assert "no-such-branch" in base["problem"]
