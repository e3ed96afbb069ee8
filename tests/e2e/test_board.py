"""The board: what an operator sees of a run, and does about it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.plans import SMALL, WITH_MISTAKES
from tests.e2e.runs import Runs
from tests.support.repositories import make_repository


def card(page: Page, attempt: str) -> Locator:
    return page.locator(".card", has=page.locator(f'[data-attempt$="{attempt}"]'))


def test_a_run_starts_from_the_form_and_its_cards_stream(page: Page, runs: Runs) -> None:
    """A pasted plan is checked as it is typed, starts a run, and its output is seen to grow."""
    page.goto("/")
    page.get_by_role("button", name="New run").first.click()
    form = page.get_by_role("dialog", name="New run")
    form.get_by_label("Repository").fill(str(runs.repository))
    form.get_by_role("button", name="Insert an example").click()
    expect(form.get_by_text("1 epic, 1 task")).to_be_visible()
    form.get_by_label("Plan", exact=True).fill(WITH_MISTAKES)
    expect(form.get_by_text("2 mistakes")).to_be_visible()
    expect(form.get_by_role("button", name="Line 6")).to_be_visible()
    expect(form.get_by_role("button", name="Start run")).to_be_disabled()
    form.get_by_label("Plan", exact=True).fill(SMALL)
    expect(form.get_by_text("2 epics, 2 tasks")).to_be_visible()
    form.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile(r"/runs/small-change-"))
    expect(page.get_by_role("heading", name="Small change")).to_be_visible()
    lines = card(page, "epics/alpha/tasks/one/attempts/1").locator(".card-lines")
    expect(lines).to_contain_text("line 2")
    expect(lines).to_contain_text(re.compile(r"line ([6-9]|\d\d)"))
    page.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_text("Stop every agent and end the run?")).to_be_visible()
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator(".run-line .status")).to_have_text("Cancelled")


@pytest.mark.complains("409 |400 ")
def test_a_project_that_is_no_repository_is_refused_in_the_form(page: Page) -> None:
    """The refusal says what to do, and nothing that was typed is lost."""
    page.goto("/")
    page.keyboard.press("n")
    form = page.get_by_role("dialog", name="New run")
    form.get_by_label("Repository").fill("/nowhere/at/all")
    form.get_by_label("Plan", exact=True).fill(SMALL)
    expect(form.get_by_text("2 epics, 2 tasks")).to_be_visible()
    # Said before anything is started, and again when one tries.
    expect(form.get_by_role("alert")).to_contain_text("/nowhere/at/all")
    with page.expect_response("**/api/runs") as answer:
        form.get_by_role("button", name="Start run").click()
    assert answer.value.status in {400, 409}
    expect(form.get_by_role("alert")).to_contain_text("/nowhere/at/all")
    expect(form.get_by_label("Plan", exact=True)).to_have_value(SMALL)


def test_lanes_stand_in_the_order_of_need(page: Page, busy: str) -> None:
    """Waiting comes first, then failed, then running; the tab's title counts who waits."""
    page.goto(f"/{busy}")
    expect(page.locator(".lane")).to_have_count(4)
    expect(page.locator(".lane h2")).to_have_text(["Database", "Payments", "Search service", "Frontend UI"])
    expect(page).to_have_title(re.compile(r"^\(\d+\) Storefront"))
    failed = card(page, "epics/payments/tasks/refunds/attempts/1")
    expect(failed).to_contain_text("Failed")
    expect(failed).to_contain_text("The payment provider rejects the key")
    running = card(page, "epics/search/tasks/ranking/attempts/1")
    expect(running).to_contain_text("Task 2/2")
    expect(running).to_contain_text("Running")
    expect(page.locator(".row", has_text="Index documents")).to_be_visible()


def test_the_whole_card_opens_the_session(page: Page, busy: str) -> None:
    """A click anywhere on the card opens its modal; Enter on its focus does too; focus comes back."""
    page.goto(f"/{busy}")
    lines = card(page, "epics/search/tasks/ranking/attempts/1").locator(".card-lines")
    # The card's link lies over it, as it should.
    lines.click(force=True)
    dialog = page.get_by_role("dialog", name=re.compile("Search service.*Ranking by recency"))
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    link = page.locator('[data-attempt$="search/tasks/ranking/attempts/1"]')
    link.focus()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()


def test_stop_asks_shows_pending_and_then_the_truth(page: Page, runs: Runs) -> None:
    """Stop never opens the modal; it can be taken back; then the agent is gone until Retry."""
    name = runs.start(SMALL)
    attempt = "epics/alpha/tasks/one/attempts/1"
    runs.wait_for(f"{name}/{attempt}", "running")
    page.goto(f"/{name}")
    it = card(page, attempt)
    it.get_by_role("button", name="Stop", exact=True).click()
    it.get_by_role("button", name="Keep").click()
    it.get_by_role("button", name="Stop", exact=True).click()
    expect(it.get_by_text("Stop this agent?")).to_be_visible()
    it.get_by_role("button", name="Stop", exact=True).click()
    expect(it.locator(".card-now")).to_contain_text("Stopped")
    assert runs.get(f"{name}/{attempt}")["state"] == "stopped"
    expect(page.get_by_role("dialog")).to_have_count(0)
    it.locator(".card-link").click()
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("row", name=re.compile("^2 ")).get_by_role("button", name="Open").click()
    expect(page.locator(".modal-facts")).to_contain_text("Attempt 2")
    expect(page.locator(".modal-facts")).to_contain_text("Running")
    runs.cancel(name)


def test_an_approval_is_answered_on_the_card(page: Page, runs: Runs) -> None:
    """Allow hands the answer to the agent, which goes on."""
    name = runs.start(SMALL)
    attempt = "epics/beta/tasks/one/attempts/1"
    runs.wait_for(f"{name}/{attempt}", "waiting")
    page.goto(f"/{name}")
    it = card(page, attempt)
    expect(it).to_contain_text("May I?")
    it.get_by_role("button", name="Allow").click()
    expect(it.locator(".card-now")).to_contain_text("Running")
    expect(it.locator(".card-lines")).to_contain_text("Thank you.")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".run-line .status")).to_have_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".run-line .status")).to_have_text("Running")
    runs.cancel(name)


def test_an_unknown_run_says_so(page: Page) -> None:
    """A wrong address is a page with a way on, not a blank one."""
    page.goto("/runs/no-such-run")
    expect(page.get_by_text("This run is not here")).to_be_visible()
    page.get_by_role("link", name="See all runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()


def test_the_list_shows_runs_as_they_change(page: Page, runs: Runs, busy: str) -> None:
    """A new run appears in the list without a reload, and leads to its board."""
    page.goto("/")
    expect(page.locator(f'a[href$="{busy}"]')).to_be_visible()
    name = runs.start(SMALL)
    link = page.locator(f'a[href$="{name}"]')
    expect(link).to_be_visible()
    runs.cancel(name)
    expect(page.locator(".run-row", has=link)).to_contain_text("Cancelled")
    link.click()
    expect(page.get_by_role("heading", name="Small change")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/{busy}",
        "/{busy}/timeline",
        "/{busy}/changes?of=epics/search",
        "/{busy}/epics/search/tasks/index/attempts/1?tab=logs",
    ],
)
def test_a_phone_needs_no_sideways_scrolling(page: Page, busy: str, path: str) -> None:
    """At 390 pixels nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.format(busy=busy))
    expect(page.locator(".run-row, .lane, .timeline-row, .diff-file").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if "attempts" in path:
        expect(page.locator(".log-row").first).to_be_visible()
        for tab in ("Current", "History", "Screenshots", "Quality", "Costs"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.querySelector('.session').scrollWidth") <= 390


def test_the_keyboard_reaches_every_card_and_lists_its_keys(page: Page, busy: str) -> None:
    """J and k move from card to card; a question mark lists the keys."""
    page.goto(f"/{busy}")
    expect(page.locator(".card").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".card-link").first).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(".card-link").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(".card-link").first).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_have_count(0)


@pytest.mark.complains("409 ")
def test_a_checkout_with_changes_asks_for_consent(page: Page, tmp_path: Path) -> None:
    """The form names the trouble and offers to start nevertheless; nothing in the checkout changes."""
    project = make_repository(tmp_path / "dirty")
    (project / "README.md").write_text("# Not committed\n")
    page.goto("/")
    page.get_by_role("button", name="New run").first.click()
    form = page.get_by_role("dialog", name="New run")
    form.get_by_label("Repository").fill(str(project))
    form.get_by_label("Plan", exact=True).fill("name: Tiny\nepics: [{key: a, tasks: [{key: t, prompt: p}]}]")
    form.get_by_label("Start although the checkout has changes").check()
    expect(form.get_by_role("alert")).to_have_count(0)
    form.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/runs/tiny-"))
    expect(page.locator(".run-line .status")).to_have_text("Succeeded")
    assert (project / "README.md").read_text() == "# Not committed\n"
