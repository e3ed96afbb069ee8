"""The list of thousands of runs."""

import getpass
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.usefixtures("busy")

COUNTS = {"total": 4, "pending": 0, "running": 0, "waiting": 0, "accepted": 4, "failed": 0, "skipped": 0}
PAGES = 6


def old_run(number: int) -> dict[str, object]:
    state = "failed" if number % 10 == 0 else "succeeded"
    return {
        "name": f"runs/old-{number}",
        "title": f"Nightly {number}",
        "state": state,
        "reason": "the disk was full" if state == "failed" else "",
        "project": "/code/shop",
        "creator": "user:ada" if number % 2 else "user:bob",
        "budget": None,
        "forecast": None,
        "tasks": COUNTS,
        "usage": {"cost": number * 1000, "cost_incomplete": False},
        "created": 1_600_000_000_000 + number,
        "started": 1_600_000_000_000,
        "ended": 1_600_000_000_000 + number * 1000,
        "sequence": 9,
    }


def answer(route: Route) -> None:
    """Answers with a page of old runs, in place of the web app."""
    token = parse_qs(urlsplit(route.request.url).query).get("page_token", [""])[0]
    place = int(token or 0)
    runs = [old_run(number) for number in range(3000 - place * 500, 3000 - (place + 1) * 500, -1)]
    following = str(place + 1) if place + 1 < PAGES else ""
    route.fulfill(body=json.dumps({"runs": runs, "next": following}), content_type="application/json")


@pytest.fixture
def many(page: Page) -> Page:
    """The list with 3,000 old runs in addition to the tests' runs."""
    page.route("**/api/runs?*", answer)
    page.goto("/")
    expect(page.locator(".pager [role=status]")).to_have_text(re.compile(r"of 3,\d\d\d$"))
    return page


def titles(page: Page) -> list[str]:
    return page.locator(".run-row .card-link").all_inner_texts()


def test_thousands_of_runs_are_turned_page_by_page(many: Page) -> None:
    """A page has fifty runs, active ones first; the address contains the page."""
    assert many.locator(".run-row").count() == 50
    expect(many.locator(".run-row").first).to_contain_text("Running")
    many.get_by_role("button", name="Next").click()
    expect(many.locator(".pager")).to_contain_text("51–100 of")  # noqa: RUF001 (as people write a range)
    expect(many).to_have_url(re.compile(r"\?page=2$"))
    many.reload()
    expect(many.locator(".pager")).to_contain_text("51–100 of")  # noqa: RUF001 (as people write a range)


def test_runs_are_searched_filtered_and_sorted(many: Page) -> None:
    """All search words must match; state counts are those of the matches; the order applies to all pages."""
    many.keyboard.press("/")
    many.keyboard.type("nightly 299")
    expect(many.locator(".run-row")).to_have_count(13)
    assert titles(many)[0] == "Nightly 2999"
    many.get_by_role("button", name=re.compile(r"^Failed")).click()
    expect(many.locator(".run-row")).to_have_count(1)
    expect(many.locator(".run-row")).to_contain_text("the disk was full")
    expect(many).to_have_url(re.compile(r"q=nightly\+299&state=failed"))
    many.reload()
    expect(many.get_by_label("Search runs")).to_have_value("nightly 299")
    expect(many.locator(".run-row")).to_have_count(1)
    many.get_by_label("Search runs").fill("nothing like it")
    many.get_by_role("button", name="Show all runs").click()
    many.get_by_label("Order").select_option("Most expensive first")
    expect(many.locator(".run-row .card-link").first).to_have_text("Nightly 3000")
    many.get_by_label("Order").select_option("Oldest first")
    expect(many.locator(".run-row .card-link").first).to_have_text("Nightly 1")


def test_who_started_a_run_and_how_long_it_still_takes_stand_in_the_list(many: Page, busy: str) -> None:
    """The list has who started a run, which can be searched, and the remaining time of an active run."""
    row = many.locator(".run-row", has=many.locator(f'a[href$="{busy}"]'))
    expect(row.locator(".run-by-whom")).to_have_text(getpass.getuser())
    expect(row.locator("time")).to_have_text(re.compile("ago$|now"))
    expect(row.locator("time")).to_have_attribute("title", re.compile(r"\d{1,2}:\d\d:\d\d"))
    expect(row.locator(".eta")).to_have_text(re.compile("left$|nearly done"))
    many.get_by_label("Search runs").fill("user:bob nightly 29")
    expect(many.locator(".run-row").first).to_contain_text("bob")
    expect(many.locator(".run-row", has_text="ada")).to_have_count(0)


def test_columns_sort_and_runs_are_filtered_by_repository_and_person(many: Page) -> None:
    """A click on a head sorts by its column, a second one turns or ends that; the filters are in the address."""
    heads = many.get_by_role("group", name="Columns")
    heads.get_by_role("button", name="Cost").click()
    expect(many.locator(".run-row .card-link").first).to_have_text("Nightly 3000")
    expect(heads.get_by_role("button", name="Cost")).to_have_attribute("aria-pressed", "true")
    heads.get_by_role("button", name="Started").click()
    heads.get_by_role("button", name="Started").click()
    expect(many.locator(".run-row .card-link").first).to_have_text("Nightly 1")
    expect(many.locator(".run-row").first.locator(".run-repository")).to_have_text("shop")
    many.get_by_label("Repository").select_option("/code/shop")
    many.get_by_label("Person").select_option("user:bob")
    expect(many.locator(".run-row .card-link").first).to_have_text("Nightly 2")
    expect(many.locator(".pager [role=status]")).to_have_text(re.compile("of 1,500$"))
    many.reload()
    expect(many.get_by_label("Person")).to_have_value("user:bob")
    expect(many.locator(".pager [role=status]")).to_have_text(re.compile("of 1,500$"))
    expect(many.locator(".runs-now")).to_have_count(0)


def test_a_view_is_saved_and_used_again(many: Page) -> None:
    """Filters are kept under a name in the browser, are a click away after a reload, and can be removed."""
    many.get_by_role("button", name=re.compile(r"^Failed")).click()
    many.get_by_label("Person").select_option("user:bob")
    many.get_by_role("button", name="Save this view").click()
    many.keyboard.type("Bob's failures")
    many.keyboard.press("Enter")
    view = many.get_by_role("button", name="Bob's failures", exact=True)
    expect(view).to_have_attribute("aria-pressed", "true")
    view.click()
    expect(many.get_by_label("Person")).to_have_value("")
    many.goto("/")
    view.click()
    expect(many).to_have_url(re.compile("state=failed&by=user%3Abob"))
    expect(many.locator(".run-row").first).to_contain_text("the disk was full")
    many.get_by_role("button", name="Remove the view Bob's failures").click()
    expect(view).to_have_count(0)


def test_the_list_shows_the_newest_run_in_small_and_what_waits(page: Page, busy: str) -> None:
    """Each epic of the newest active run has a row that leads to its session; questions lead to theirs."""
    page.goto("/")
    mini = page.get_by_role("region", name="The newest run")
    # At one moment: another run may become the newest.
    page.wait_for_function("""() => {
        const newest = document.querySelector(".mini h2 a")?.getAttribute("href");
        const rows = [...document.querySelectorAll(".mini-row")];
        return rows.length > 0 && rows.every((each) => each.getAttribute("href").startsWith(newest));
    }""")
    expect(mini.locator(".mini-tasks").first).to_have_attribute(
        "aria-label", re.compile(r"^\d+ of \d+ done$")
    )
    waiting = page.get_by_role("region", name="Waiting for you")
    expect(waiting.locator("li").first).to_be_visible()
    waiting.get_by_role("button").click()
    expect(page.locator("dialog.attention")).to_be_visible()
    expect(page.locator(f'.attention-item[data-key^="{busy}/epics/database"]')).to_be_visible()
