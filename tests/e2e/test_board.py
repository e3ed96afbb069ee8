"""The board: a run's state and the operator's actions."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.plans import CHAIN, SMALL
from tests.e2e.runs import Runs


def card(page: Page, attempt: str) -> Locator:
    return page.locator(".card", has=page.locator(f'[data-attempt$="{attempt}"]'))


def test_lanes_stand_in_the_order_of_need(page: Page, busy: str) -> None:
    """Waiting epics come first, then failed, then running ones; the tab's title counts what waits."""
    page.goto(f"/{busy}")
    expect(page.locator(".lane")).to_have_count(4)
    expect(page.locator(".lane h3")).to_have_text(["Database", "Payments", "Search service", "Frontend UI"])
    expect(page).to_have_title(re.compile(r"^\(\d+\) Storefront"))
    expect(page.locator(".group-head")).to_have_text(["Waiting for you1", "Failed1", "Running2"])
    failed = card(page, "epics/payments/tasks/refunds/attempts/1")
    expect(failed).to_contain_text("Failed")
    expect(failed).to_contain_text("The payment provider rejects the key")
    running = card(page, "epics/search/tasks/ranking/attempts/1")
    expect(running).to_contain_text("Task 2/2")
    expect(running).to_contain_text("Running")
    expect(page.locator(".row", has_text="Index documents")).to_be_visible()


def test_the_whole_card_opens_the_session(page: Page, busy: str) -> None:
    """A click anywhere on the card, or Enter on its link, opens its modal; afterwards focus returns."""
    page.goto(f"/{busy}")
    lines = card(page, "epics/search/tasks/ranking/attempts/1").locator(".card-lines")
    # The card's link covers it, as intended.
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


def test_the_whole_card_answers_to_pointer_and_focus(page: Page, busy: str) -> None:
    """Hovering anywhere on the card changes its background; focus on its link draws a ring around the card."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"/{busy}")
    it = card(page, "epics/search/tasks/ranking/attempts/1")
    it.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    calm = it.evaluate("it => getComputedStyle(it).backgroundColor")
    box = it.bounding_box()
    assert box
    for x, y in ((4, 4), (box["width"] - 4, box["height"] - 4)):
        page.mouse.move(box["x"] + x, box["y"] + y)
        expect(it).not_to_have_css("background-color", calm)
        page.mouse.move(0, 0)
        expect(it).to_have_css("background-color", calm)
    page.keyboard.press("j")
    focused = page.locator(".card:has(.card-link:focus-visible)")
    expect(focused).to_have_count(1)
    width, style = focused.evaluate(
        "it => [getComputedStyle(it).outlineWidth, getComputedStyle(it).outlineStyle]"
    )
    assert (width, style) == ("2px", "solid")


def test_stop_asks_shows_pending_and_then_the_truth(page: Page, runs: Runs) -> None:
    """Stop asks first, can be taken back, shows "Stopping…" and then "Stopped", and never opens the modal."""
    name = runs.start(SMALL)
    attempt = "epics/alpha/tasks/one/attempts/1"
    runs.wait_for(f"{name}/{attempt}", "running")
    page.goto(f"/{name}")
    it = card(page, attempt)
    it.get_by_role("button", name="Stop", exact=True).click()
    it.get_by_role("button", name="Keep").click()
    it.get_by_role("button", name="Stop", exact=True).click()
    expect(it.get_by_text("Stop this agent?")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**:stop", hold)
    it.get_by_role("button", name="Stop", exact=True).click()
    expect(it.get_by_role("status")).to_have_text("Stopping…")
    expect(it.locator(".card-now")).to_contain_text("Running")
    held[0].continue_()
    expect(it.locator(".card-now")).to_contain_text("Stopped")
    expect(it.get_by_text("Stopping…")).to_have_count(0)
    assert runs.get(f"{name}/{attempt}")["state"] == "stopped"
    expect(page.get_by_role("dialog")).to_have_count(0)
    it.locator(".card-link").click()
    page.get_by_role("tab", name="History").click()
    page.get_by_role("tabpanel").get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("row", name=re.compile("^2 ")).get_by_role("button", name="Open").click()
    expect(page.locator(".modal-facts")).to_contain_text("Attempt 2")
    expect(page.locator(".modal-facts")).to_contain_text("Running")
    runs.cancel(name)


def test_an_approval_is_answered_on_the_card(page: Page, runs: Runs) -> None:
    """Allow sends the answer to the agent, which continues."""
    name = runs.start(SMALL)
    attempt = "epics/beta/tasks/one/attempts/1"
    runs.wait_for(f"{name}/{attempt}", "waiting")
    page.goto(f"/{name}")
    it = card(page, attempt)
    expect(it).to_contain_text("May I?")
    it.get_by_role("button", name="Allow").click()
    expect(page.locator(".toast")).to_contain_text("continues")
    expect(it.locator(".card-now")).to_contain_text("Running")
    expect(it.locator(".card-lines")).to_contain_text("Thank you.")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".run-line .status")).to_have_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".run-line .status")).to_have_text("Running")
    runs.cancel(name)


def test_an_unknown_run_says_so(page: Page) -> None:
    """The page of an unknown run says so and links to the existing runs."""
    page.goto("/runs/no-such-run")
    expect(page.get_by_text("Run not found")).to_be_visible()
    page.get_by_role("link", name="See all runs").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_the_list_shows_runs_as_they_change(page: Page, runs: Runs, busy: str) -> None:
    """A new run appears in the list without a reload, and links to its board."""
    page.goto("/")
    expect(page.locator(f'.run-row a[href$="{busy}"]')).to_be_visible()
    name = runs.start(SMALL)
    link = page.locator(f'.run-row a[href$="{name}"]')
    expect(link).to_be_visible()
    runs.cancel(name)
    expect(page.locator(".run-row", has=page.locator(f'a[href$="{name}"]'))).to_contain_text("Cancelled")
    link.click()
    expect(page.get_by_role("heading", name="Small change")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/{busy}",
        "/{busy}/timeline",
        "/{busy}/changes?of=epics/search",
        "/{busy}/conflicts",
        "/{busy}/report",
        "/new",
        "/costs",
        "/{busy}/epics/search/tasks/index/attempts/1?tab=logs",
    ],
)
def test_a_phone_needs_no_sideways_scrolling(page: Page, busy: str, path: str) -> None:
    """At 390 pixels nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.format(busy=busy))
    expect(
        page.locator(
            ".run-row, .lane, .timeline-row, .diff-file, .queue, .report-facts, .cm-content, .cost-table"
        ).first
    ).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if path.endswith("report"):
        # The names of the views scroll, and the chosen one is in sight.
        page.keyboard.press("6")
        chosen = page.get_by_role("navigation", name="Views of this run").locator("[aria-current]")
        expect(chosen).to_have_text("Plan")
        expect(chosen).to_be_in_viewport(ratio=0.9)
    if "attempts" in path:
        expect(page.locator(".log-row").first).to_be_visible()
        for tab in ("Current", "History", "Screenshots", "Quality", "Costs"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.querySelector('.session').scrollWidth") <= 390


def test_the_tail_of_a_card_shows_whole_lines(page: Page, busy: str) -> None:
    """However tall a card is, its last lines are not cut in the middle of a line."""
    page.goto(f"/{busy}")
    tail = page.locator('.card:has([data-attempt$="epics/search/tasks/ranking/attempts/1"]) .card-tail')
    expect(tail.locator("div").nth(4)).to_be_attached()
    for height in range(80, 100):
        rest = tail.evaluate(
            """(it, height) => {
              it.parentElement.style.flex = `0 0 ${height}px`;
              return it.offsetHeight % 18;
            }""",
            height,
        )
        assert rest == 0, height


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


def test_cards_tell_how_long_and_how_busy(page: Page, busy: str) -> None:
    """Each card has the time in its state and recent activity as bars; the header has the run's cost."""
    page.goto(f"/{busy}")
    running = card(page, "epics/search/tasks/ranking/attempts/1")
    expect(running.locator(".card-since")).to_have_text(re.compile(r"^\d+:\d\d$"))
    spark = running.get_by_role("img", name=re.compile("Activity of the last 3 minutes; [1-9]"))
    expect(spark).to_be_visible()
    expect(page.locator(".run-progress .budget")).to_have_text(re.compile(r"^≥ \$0\.01"))


def test_a_board_is_narrowed_and_made_compact_and_its_address_keeps_that(page: Page, busy: str) -> None:
    """The address contains group and search; the browser stores the density."""
    page.goto(f"/{busy}")
    page.get_by_role("button", name=re.compile("^Failed")).click()
    expect(page.locator(".lane h3")).to_have_text(["Payments"])
    expect(page).to_have_url(re.compile(r"\?show=failed$"))
    page.reload()
    expect(page.locator(".lane h3")).to_have_text(["Payments"])
    page.get_by_role("button", name=re.compile("^Failed")).click()
    page.keyboard.press("/")
    page.keyboard.type("recency")
    expect(page.locator(".lane h3")).to_have_text(["Search service"])
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("c")
    expect(page.locator(".lane.is-slim")).to_have_count(4)
    row = page.get_by_role("region", name="Search service")
    expect(row).to_contain_text("Ranking by recency")
    row.get_by_role("button", name="Stop").click()
    row.get_by_role("button", name="Keep").click()
    page.reload()
    expect(page.locator(".lane.is-slim")).to_have_count(4)


def test_parallelism_is_changed_and_epics_lead_to_those_they_wait_for(page: Page, runs: Runs) -> None:
    """The operator raises the limit of one agent; an epic's dependency is a link that scrolls to its lane."""
    name = runs.start(CHAIN, max_parallel=1)
    runs.wait_for(f"{name}/epics/base/tasks/one/attempts/1", "running")
    page.goto(f"/{name}")
    limit = page.get_by_role("group", name="Max parallel agents")
    expect(limit).to_contain_text("1 parallel")
    expect(limit.get_by_role("button", name="Decrease max parallel agents")).to_be_disabled()
    side = page.get_by_role("region", name="Side work")
    expect(side).to_contain_text("Queued")
    limit.get_by_role("button", name="Increase max parallel agents").click()
    expect(limit).to_contain_text("2 parallel")
    expect(side).to_contain_text("Running")
    assert runs.get_run(name)["max_parallel"] == 2
    last = page.get_by_role("region", name="Last")
    expect(last).to_contain_text("Starts when Groundwork is merged")
    last.get_by_role("link", name=re.compile("Groundwork")).click()
    expect(page.locator('[data-epic="base"]')).to_have_class(re.compile("is-shown"))
    expect(page.locator(".eta")).to_have_text(re.compile("left"))
    page.get_by_role("link", name="Conflicts").click()
    queue = page.locator(".queue li")
    expect(queue.filter(has_text="Last")).to_contain_text(
        re.compile("Blocked.*waits for the merge of Groundwork")
    )
    expect(queue.filter(has_text="Side work")).to_contain_text("Running")
    runs.cancel(name)


@pytest.mark.complains("409 ")
def test_a_control_that_is_refused_goes_back_to_the_truth(page: Page, runs: Runs) -> None:
    """A change is shown as pending; if it is refused, the current value and the reason are shown."""
    name = runs.start(CHAIN, max_parallel=3)
    page.goto(f"/{name}")
    limit = page.get_by_role("group", name="Max parallel agents")
    expect(limit).to_contain_text("3 parallel")
    page.route(
        "**:set",
        lambda route: route.fulfill(
            status=409, content_type="application/json", body='{"message": "The run has just ended."}'
        ),
    )
    limit.get_by_role("button", name="Increase max parallel agents").click()
    expect(limit).to_have_class(re.compile("is-pending"))
    expect(page.get_by_text("The limit is still 3. The run has just ended.")).to_be_visible()
    expect(limit).to_contain_text("3 parallel")
    expect(limit).not_to_have_class(re.compile("is-pending"))
    runs.cancel(name)
