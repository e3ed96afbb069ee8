"""What a browser fetches for a page and draws first."""

from playwright.sync_api import Page, Response, expect

from tests.e2e.runs import Runs
from tests.e2e.waits import wait_until

# A response from the cache has no transfer size.
_FETCHED_FILES = """performance.getEntriesByType("resource")
    .filter((each) => each.name.includes("/assets/") && each.transferSize).map((each) => each.name)"""


def test_a_cold_page_is_a_handful_of_files_which_are_kept_for_good(page: Page, busy: str) -> None:
    """A first page fetches a few files instead of a hundred modules; a second page fetches none of them."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (Playwright marks what it is given)
    page.goto(f"/{busy}")
    expect(page.locator(".card").first).to_be_visible()
    files = [each for each in answers if each.request.resource_type in {"script", "stylesheet", "font"}]
    assert {each.url.rpartition("/")[2] for each in files} == {
        "heddle.css",
        "heddle.js",
        "nicegui.js",
        "socket.io.min.js",
    }
    for each in files:
        assert each.header_value("content-encoding") == "gzip"
        assert "immutable" in (each.header_value("cache-control") or "")
    page.goto("/")
    expect(page.locator(".run-row").first).to_be_visible()
    assert page.evaluate(_FETCHED_FILES) == []


# The browser is idle only when a test says so.
_NEVER_IDLE = "window.requestIdleCallback = (act) => (window.waiting ??= []).push(act)"
_IDLE_UNTIL = """(lanes) => {
    for (const act of (window.waiting ?? []).splice(0)) act({ timeRemaining: () => 50 });
    return document.querySelectorAll(".lane").length === lanes;
}"""


def test_of_a_long_board_the_first_screen_is_drawn_first(page: Page, runs: Runs) -> None:
    """Nine lanes are drawn at once, under a header that counts all; the others follow in idle time."""
    epics = "".join(
        f"  - {{key: e{number}, title: Epic {number}, tasks: [{{key: t, title: T, prompt: T, script: [{{wait: 30m}}]}}]}}\n"
        for number in range(20)
    )
    name = runs.start(f"name: Long\nepics:\n{epics}", max_parallel=1)
    runs.wait_for(f"{name}/epics/e0/tasks/t/attempts/1", "running")
    page.add_init_script(_NEVER_IDLE)
    page.goto(f"/{name}")
    expect(page.locator(".lane")).to_have_count(9)
    expect(page.get_by_role("region", name="Queued").locator(".group-head b")).to_have_text("19")
    wait_until(page, _IDLE_UNTIL, 20)
    runs.cancel(name)


def test_a_board_under_a_session_stands_still(page: Page, busy: str) -> None:
    """Under an open session, the cards' lines are hidden; they are up to date once the session is closed."""
    attempt = f"{busy}/epics/search/tasks/ranking/attempts/1"
    page.goto(f"/{busy}")
    card = page.locator(".card", has=page.locator(f'[data-attempt="{attempt}"]'))
    card.click()
    page.get_by_role("tab", name="Logs").click()
    told = page.locator(".logs-tools .quiet")
    expect(told).to_contain_text("lines")
    under, before = card.locator(".card-lines").text_content(), told.inner_text()
    expect(told).not_to_have_text(before)
    expect(card.locator(".card-lines")).to_have_text(under or "")
    page.keyboard.press("Escape")
    expect(card.locator(".card-lines")).not_to_have_text(under or "")
