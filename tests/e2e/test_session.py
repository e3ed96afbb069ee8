"""The session modal: its six tabs, how it opens and closes, and what agents write."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.waits import wait_until

DONE = "epics/search/tasks/index/attempts/1"
RUNNING = "epics/search/tasks/ranking/attempts/1"
HOSTILE = "epics/frontend/tasks/settings/attempts/1"


def open_session(page: Page, run: str, attempt: str, tab: str = "") -> Locator:
    page.goto(f"/{run}/{attempt}" + (f"?tab={tab}" if tab else ""))
    dialog = page.locator("dialog.session")
    expect(dialog).to_be_visible()
    return dialog


# The number of the first step below the upper edge of the visible part.
STEP_IN_SIGHT = """(box) => {
  const steps = [...box.querySelectorAll(".said")].filter((it) => /^Step \\d+ of the work\\.$/.test(it.innerText));
  const top = box.getBoundingClientRect().top;
  return Number(steps.find((it) => it.getBoundingClientRect().top > top).innerText.split(" ")[1]);
}"""

# A line of the log near the upper edge of the visible part, and its distance from that edge.
LINE_IN_SIGHT = """(box) => {
  const { x, y } = box.getBoundingClientRect(), line = document.elementFromPoint(x + 90, y + 60).closest(".log-row");
  return [line.innerText, line.getBoundingClientRect().y - y];
}"""


def step(dialog: Locator, number: int) -> Locator:
    return dialog.get_by_text(f"Step {number} of the work.", exact=True)


def newest_step(dialog: Locator) -> int:
    said = dialog.locator(".said").last
    expect(said).to_have_text(re.compile(r"Step \d+ of the work\."))
    return int(said.inner_text().split()[1])


def test_six_tabs_have_what_the_session_did(page: Page, busy: str) -> None:
    """Each tab of an accepted session shows real content."""
    dialog = open_session(page, busy, DONE)
    expect(dialog.get_by_role("heading", level=2)).to_have_text(re.compile("Search service.*Index documents"))
    expect(dialog.get_by_text("Task 1/2", exact=True)).to_be_visible()
    tabs = dialog.get_by_role("tab")
    expect(tabs).to_have_count(6)

    panel = dialog.get_by_role("tabpanel")
    expect(panel.locator(".markdown strong")).to_have_text("index.py")
    panel.locator(".markdown pre").scroll_into_view_if_needed()
    expect(panel.locator(".markdown .hl-keyword")).to_have_text("return")
    expect(panel.locator(".markdown .hl-string")).to_have_text("'<b>'")
    expect(panel.locator(".tool", has_text="Write")).to_contain_text("index.py")
    failed = panel.locator(".tool.is-failed")
    expect(failed).to_contain_text("✗")
    failed.locator("summary").click()
    expect(failed.locator(".tool-body")).to_contain_text("false")

    tabs.filter(has_text="History").click()
    expect(panel.locator(".history-task")).to_have_count(2)
    expect(panel.locator(".history-task").first).to_contain_text(re.compile(r"Done.*Index documents"))
    expect(panel.locator(".attempts code").first).to_have_text(re.compile(r"^[0-9a-f]{8}$"))

    tabs.filter(has_text="Logs").click()
    expect(panel.locator(".log-row", has_text="The needle is found.")).to_be_visible()

    tabs.filter(has_text="Screenshots").click()
    expect(panel.get_by_role("button", name="Enlarge: The result page")).to_be_visible()
    assert panel.locator("img").first.evaluate("it => it.decode().then(() => it.naturalWidth)") > 0

    tabs.filter(has_text="Quality").click()
    expect(panel.locator(".scope", has_text="Checks")).to_contain_text("2/2")
    expect(panel.locator(".scope", has_text="Tests")).to_contain_text("0 failed, 1 skipped")
    expect(panel.locator(".scope", has_text="Tool errors")).to_contain_text("1")
    check = panel.locator(".check", has_text="tests")
    check.locator("summary").click()
    expect(check.locator("pre")).to_contain_text("2 passed, 1 skipped")
    expect(panel.locator(".diff-file", has_text="index.py").locator(".diff-add").first).to_contain_text(
        "def index"
    )

    tabs.filter(has_text="Costs").click()
    expect(panel.locator(".scope", has_text="This session")).to_contain_text("≥ $0.013")
    expect(panel.get_by_role("row", name=re.compile("house-model"))).to_contain_text("price unknown")
    expect(panel.get_by_role("row", name=re.compile("claude-sonnet-4-5"))).to_contain_text("1,200")


def test_the_session_streams(page: Page, busy: str) -> None:
    """The text of a running agent appears as it arrives, together with the current tool."""
    dialog = open_session(page, busy, RUNNING)
    expect(step(dialog, newest_step(dialog) + 2)).to_be_visible()


def test_arrows_step_through_the_running_agents(page: Page, busy: str) -> None:
    """The arrows lead to the next and previous agents and are disabled at the ends; the address changes."""
    page.goto(f"/{busy}")
    page.locator('[data-attempt$="database/tasks/migrate/attempts/1"]').click()
    heading = page.locator("#modal-title")
    back = page.get_by_role("button", name="Previous running agent")
    forth = page.get_by_role("button", name="Next running agent")
    expect(heading).to_contain_text("Database")
    expect(back).to_be_disabled()
    forth.click()
    expect(heading).to_contain_text("Ranking by recency")
    assert "/epics/search/tasks/ranking/attempts/1" in page.url
    page.keyboard.press("j")
    expect(heading).to_contain_text("Settings page")
    expect(forth).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    expect(heading).to_contain_text("Ranking by recency")
    page.keyboard.press("k")
    expect(heading).to_contain_text("Database")


def test_there_are_four_ways_out(page: Page, busy: str) -> None:
    """✕, Esc, a click outside and Back close the modal; the board keeps its scroll position."""
    page.goto(f"/{busy}")
    link = page.locator(f'[data-attempt$="{RUNNING}"]')
    dialog = page.locator("dialog.session")
    ways: list[Callable[[], object]] = [
        dialog.get_by_role("button", name="Close", exact=True).click,
        partial(page.keyboard.press, "Escape"),
        partial(page.mouse.click, 5, 450),
        page.go_back,
    ]
    for leave in ways:
        link.click()
        expect(dialog).to_be_visible()
        leave()
        expect(dialog).to_have_count(0)
        assert page.url.endswith(busy)
        expect(link).to_be_focused()


def test_the_address_restores_session_and_tab(page: Page, busy: str) -> None:
    """A deep link opens the same modal and tab; closing it leads to the board."""
    dialog = open_session(page, busy, DONE, "costs")
    expect(dialog.get_by_role("tab", selected=True)).to_have_text("Costs")
    dialog.get_by_role("tab", name="Quality").click()
    page.reload()
    expect(dialog.get_by_role("tab", selected=True)).to_contain_text("Quality")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.url.endswith(busy)
    expect(page.locator(".lane").first).to_be_visible()


def test_tab_never_reaches_the_background(page: Page, busy: str) -> None:
    """However often Tab is pressed, the focus stays in the modal or leaves the page."""
    open_session(page, busy, DONE)
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )


def test_logs_are_searched_filtered_and_downloaded(page: Page, busy: str) -> None:
    """Search counts matches and steps through them, levels hide lines, and the download has every line."""
    dialog = open_session(page, busy, DONE, "logs")
    expect(dialog.get_by_text(re.compile(r"3,?0\d\d lines"))).to_be_visible()
    field = dialog.get_by_label("Search in the log")
    field.fill("needle")
    expect(dialog.get_by_text(re.compile(r"^(\d+) of \1$"))).to_be_visible()
    total = int(dialog.locator(".search-count").inner_text().split()[-1])
    assert total >= 3
    expect(dialog.locator(".log-row.is-hit mark")).to_have_text("needle")
    dialog.get_by_role("button", name="Next match").click()
    expect(dialog.locator(".search-count")).to_have_text(f"1 of {total}")
    dialog.get_by_role("button", name="Previous match").click()
    expect(dialog.locator(".search-count")).to_have_text(f"{total} of {total}")
    field.fill("needle two")
    expect(dialog.locator(".log-row.level-warning mark")).to_be_visible()
    dialog.get_by_role("button", name="Warnings").click()
    expect(dialog.locator(".log-row.level-warning")).to_have_count(0)
    field.press("Escape")
    expect(dialog).to_be_visible()
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    text = download.value.path().read_text()
    assert text.count("\n") > 3000
    assert "needle two" in text
    with page.expect_download() as download:
        dialog.get_by_role("link", name="JSON").click()
    events = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [event["sequence"] for event in events] == [str(each + 1) for each in range(len(events))]


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_log_opens_at_its_end(page: Page, busy: str, motion: Literal["reduce", "no-preference"]) -> None:
    """A log opens at its end, with and without reduced motion."""
    page.emulate_media(reduced_motion=motion)
    dialog = open_session(page, busy, DONE, "logs")
    expect(dialog.locator(".log-row", has_text="The needle is found.")).to_be_visible()


def test_the_log_is_filtered_by_tool(page: Page, busy: str) -> None:
    """The filter leaves only the calls and output of one tool."""
    dialog = open_session(page, busy, DONE, "logs")
    expect(dialog.locator(".log-row", has_text="The needle is found.")).to_be_visible()
    dialog.get_by_label("Tool", exact=True).select_option("Write")
    expect(dialog.locator(".log-row", has_text="index.py").first).to_be_visible()
    expect(dialog.locator(".log-row", has_text="needle")).to_have_count(0)
    dialog.get_by_label("Tool", exact=True).select_option("Bash")
    expect(dialog.locator(".log-row", has_text="needle one").first).to_be_visible()


def test_a_match_that_is_loaded_after_the_search_is_shown(page: Page, busy: str) -> None:
    """A search without a match shows the last one as soon as there is one."""
    dialog = open_session(page, busy, DONE, "logs")
    dialog.get_by_label("Tool", exact=True).select_option("Write")
    dialog.get_by_label("Search in the log").fill("needle one")
    expect(dialog.locator(".search-count")).to_have_text("no match")
    dialog.get_by_label("Tool", exact=True).select_option("")
    expect(dialog.locator(".search-count")).not_to_have_text("no match")
    expect(dialog.locator(".log-row.is-hit")).to_be_in_viewport()


def test_a_link_to_a_line_restores_it(page: Page, busy: str) -> None:
    """The address contains the selected line or block, and opens the log there."""
    dialog = open_session(page, busy, DONE, "logs")
    dialog.get_by_label("Search in the log").fill("needle one")
    row = dialog.locator(".log-row.is-hit")
    expect(row).to_be_visible()
    row.click()
    expect(page).to_have_url(re.compile(r"\?tab=logs#L\d+(\.\d+)?$"))
    chosen = row.inner_text()
    dialog.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_contain_text("Link copied")
    page.goto(page.url.replace("?tab=logs", ""))
    page.reload()
    expect(dialog.get_by_role("tab", selected=True)).to_have_text("Logs")
    expect(dialog.locator(".log-row.is-picked")).to_be_in_viewport()
    assert dialog.locator(".log-row.is-picked").inner_text() == chosen
    following = dialog.locator(".log-row.is-picked + .log-row + .log-row")
    following.click(modifiers=["Shift"])
    expect(dialog.locator(".log-row.is-picked")).to_have_count(3)
    expect(dialog.get_by_role("button", name="Copy 3 lines")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#L[\d.]+-L[\d.]+$"))
    dialog.get_by_role("button", name="Clear the selection").click()
    expect(page).not_to_have_url(re.compile("#"))


def test_the_log_follows_its_end_until_one_scrolls_up(page: Page, busy: str) -> None:
    """After scrolling up, the visible lines do not move; "N new" leads back to the end."""
    dialog = open_session(page, busy, RUNNING, "logs")
    rows = dialog.locator(".rows-box")
    # The log has scrolled to its end.
    wait_until(page, "document.querySelector('.rows-box').scrollTop > 600")
    rows.evaluate("it => { it.scrollTop = 300 }")
    fresh = dialog.get_by_role("button", name=re.compile(r"\d+ new"))
    expect(fresh).to_be_visible()
    # Not the position, which grows while the earlier lines of the log are loaded above.
    read = rows.evaluate(LINE_IN_SIGHT)
    expect(fresh).not_to_have_text(fresh.inner_text())
    assert rows.evaluate(LINE_IN_SIGHT) == read
    fresh.click()
    expect(fresh).to_have_count(0)
    wait_until(
        page,
        "(() => { const it = document.querySelector('.rows-box');"
        " return it.scrollHeight - it.scrollTop - it.clientHeight < 30 })()",
    )


def test_screenshots_enlarge_and_step_by_key(page: Page, busy: str) -> None:
    """A screenshot is enlarged, → shows the next one, and Esc closes only the picture."""
    dialog = open_session(page, busy, DONE, "screenshots")
    dialog.get_by_role("button", name="Enlarge: The result page").click()
    picture = page.locator("dialog.lightbox")
    expect(picture.get_by_text("1 of 2")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(picture.get_by_text("2 of 2")).to_be_visible()
    expect(picture.get_by_role("img", name="The empty page")).to_be_visible()
    page.keyboard.press("Escape")
    expect(picture).to_be_hidden()
    expect(dialog).to_be_visible()


@pytest.mark.parametrize("tab", ["current", "logs"])
def test_what_agents_write_is_text(page: Page, busy: str, tab: str) -> None:
    """Markup, scripts, links with code, remote images and terminal codes are shown as text."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    dialog = open_session(page, busy, HOSTILE, tab)
    box = dialog.locator(".rows-box" if tab == "logs" else ".stream")
    if tab == "logs":
        dialog.get_by_label("Search in the log").fill("onerror")
    else:
        box.locator(".said").first.scroll_into_view_if_needed()
    expect(box.get_by_text('<img src=x onerror="window.pwned=1"><script>').first).to_be_visible()
    expect(box.get_by_text("202e\u203aevil").first).to_be_visible()
    if tab == "logs":
        dialog.get_by_label("Search in the log").fill("red <b>bold</b>")
        expect(dialog.locator(".log-row mark").first).to_have_text("red <b>bold</b>")
    assert page.evaluate("window.pwned") is None
    assert box.locator('a[href^="javascript"], img[src*="example.com"], script').count() == 0
    assert not [url for url in asked if "example.com" in url]


def test_the_view_follows_what_is_said_until_one_scrolls_up(page: Page, busy: str) -> None:
    """Growing text and loading pictures do not stop following; scrolling up does, and "Follow" resumes it."""
    dialog = open_session(page, busy, RUNNING)
    box = dialog.get_by_label("Agent activity")
    said = dialog.locator(".said")
    expect(said.nth(12)).to_be_attached(timeout=30_000)
    expect(step(dialog, newest_step(dialog) + 2)).to_be_in_viewport()
    follow = dialog.get_by_role("button", name="Follow")
    expect(follow).to_have_count(0)
    box.evaluate("it => { it.scrollTop -= 200 }")
    expect(follow).to_be_visible()
    place = box.evaluate("it => it.scrollTop")
    expect(step(dialog, newest_step(dialog) + 2)).to_be_attached()
    assert box.evaluate("it => it.scrollTop") == place
    follow.click()
    expect(said.last).to_be_in_viewport()


@pytest.mark.timeout(300)  # it watches for half a minute
def test_what_is_read_stands_still_for_half_a_minute(page: Page, busy: str) -> None:
    """While the agent adds about forty steps, neither the visible text nor the visible log lines move."""
    dialog = open_session(page, busy, RUNNING)
    other = page.context.new_page()
    logs = open_session(other, busy, RUNNING, "logs")
    stream = dialog.get_by_label("Agent activity")
    rows = logs.locator(".rows-box")
    expect(dialog.locator(".said").nth(25)).to_be_attached(timeout=40_000)
    for tab, box in (page, ".scroll"), (other, ".rows-box"):
        wait_until(tab, f"document.querySelector('dialog {box}').scrollTop > 600", seconds=60)
    # Scrolls both to the middle of their content.
    stream.evaluate("it => { it.scrollTop = 300 }")
    rows.evaluate("it => { it.scrollTop = 300 }")
    expect(dialog.get_by_role("button", name="Follow")).to_be_visible()
    expect(logs.get_by_role("button", name=re.compile(r"\d+ new"))).to_be_visible()
    # The view of a long session does not start with its first step.
    read = step(dialog, stream.evaluate(STEP_IN_SIGHT))
    before = read.bounding_box(), rows.evaluate(LINE_IN_SIGHT)
    newest = newest_step(dialog)
    expect(step(dialog, newest + 42)).to_be_attached(timeout=90_000)
    assert (read.bounding_box(), rows.evaluate(LINE_IN_SIGHT)) == before
    other.close()


def test_lines_are_copied_as_they_were_written(page: Page, busy: str) -> None:
    """One line or a range of lines is copied exactly as the agent wrote it."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dialog = open_session(page, busy, DONE, "logs")
    field = dialog.get_by_label("Search in the log")
    field.fill("needle one")
    dialog.locator(".log-row", has=page.locator(".log-text", has_text=re.compile("^needle one$"))).click()
    dialog.get_by_role("button", name="Copy line").click()
    expect(page.locator(".toast")).to_contain_text("Line copied")
    field.fill("")
    field.press("Control+v")
    expect(field).to_have_value("needle one")
    dialog.locator(".log-row.is-picked + .log-row + .log-row").click(modifiers=["Shift"])
    dialog.get_by_role("button", name="Copy 3 lines").click()
    expect(page.locator(".toast").last).to_contain_text("Lines copied")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied == dialog.locator(".log-row.is-picked .log-text").all_inner_texts()


def test_times_are_relative_and_absolute_on_hover(page: Page, busy: str) -> None:
    """Times of a session's header, log lines and screenshots are absolute on hover."""
    dialog = open_session(page, busy, DONE, "logs")
    absolute = re.compile(r"\d{1,2}/\d{1,2}/\d{4}, \d{1,2}:\d\d:\d\d")
    expect(dialog.locator(".modal-facts [title^=Started]")).to_have_attribute("title", absolute)
    expect(dialog.locator(".log-time").first).to_have_attribute("title", absolute)
    dialog.get_by_role("tab", name="Screenshots").click()
    expect(dialog.locator(".shot-facts").first).to_have_attribute("title", absolute)


def test_question_mark_lists_the_keys(page: Page, busy: str) -> None:
    """The list of keys also opens over a session; Esc closes only the list."""
    dialog = open_session(page, busy, DONE)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard")
    expect(keys).to_contain_text("previous and next running agent")
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    expect(dialog).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/new", "/costs", "/RUN"])
def test_the_list_of_keys_has_its_own_size_on_every_page(page: Page, busy: str, path: str) -> None:
    """The dialog is no wider than its text needs, and its text is not at its edge."""
    page.goto(path.replace("RUN", busy))
    page.get_by_role("button", name="Keyboard shortcuts").click()
    keys = page.get_by_role("dialog", name="Keyboard")
    expect(keys).to_be_visible()
    box = keys.evaluate("it => [it.offsetWidth, parseFloat(getComputedStyle(it).paddingLeft)]")
    assert box[0] <= 560
    assert box[1] >= 16
