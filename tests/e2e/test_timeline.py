"""The timeline of a run: attempts, waits and merges over time, with links to the sessions."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.e2e.runs import Runs

CHAIN = """
name: Chain
defaults: {retries: 1}
epics:
  - key: base
    title: Base
    tasks:
      - {key: one, title: First layer, prompt: p, script: [{wait: 0.5}]}
      - {key: two, title: Second layer, prompt: p, script: [{ask: Go on?}, {say: Thanks.}]}
  - key: top
    title: Top
    depends_on: [base]
    tasks: [{key: one, title: The roof, prompt: p, script: [{wait: 0.4}]}]
  - key: side
    title: Side
    tasks: [{key: one, title: Never works, prompt: p, script: [{fail: It is broken.}]}]
"""


def bar(page: Page, attempt: str) -> Locator:
    return page.locator(f'.bar[data-attempt$="{attempt}"]')


def test_the_timeline_shows_attempts_waits_merges_and_the_critical_path(page: Page, runs: Runs) -> None:
    """The timeline of an active run is updated: a question appears, and so does the end."""
    name = runs.start(CHAIN)
    page.goto(f"/{name}")
    page.get_by_role("link", name="Timeline").click()
    expect(page).to_have_url(re.compile("/timeline$"))
    asking = bar(page, "base/tasks/two/attempts/1")
    expect(asking.locator(".bar-wait")).to_have_count(1)
    expect(asking).to_have_class(re.compile("is-live"))
    asked = runs.get(f"{name}/epics/base/tasks/two/attempts/1")["summary"]["waiting"]["id"]
    runs.post(f"{name}/epics/base/tasks/two/attempts/1:resolve", approval_id=asked, approved=True)
    expect(page.locator(".run-line .status")).to_have_text("Failed")
    expect(bar(page, "side/tasks/one/attempts/2")).to_have_class(re.compile("tone-bad"))
    expect(bar(page, "top/tasks/one/attempts/1")).to_have_attribute(
        "aria-label", re.compile("The roof, .*Done")
    )
    expect(page.locator(".bar.is-merge")).to_have_count(2)
    for on_path in ("base/tasks/one", "base/tasks/two", "top/tasks/one"):
        expect(bar(page, f"{on_path}/attempts/1")).to_have_class(re.compile("is-critical"))
    expect(bar(page, "side/tasks/one/attempts/1")).not_to_have_class(re.compile("is-critical"))
    expect(page.locator(".bar.is-live")).to_have_count(0)


def test_a_click_opens_the_session_over_the_timeline(page: Page, busy: str) -> None:
    """Esc and Back lead back to the timeline, even after a reload."""
    page.goto(f"/{busy}/timeline")
    bar(page, "search/tasks/index/attempts/1").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=re.compile("Index documents"))
    expect(dialog).to_be_visible()
    expect(page).to_have_url(re.compile("/epics/search/tasks/index/attempts/1$"))
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("/timeline$"))
    bar(page, "search/tasks/index/attempts/1").click(force=True)
    expect(dialog).to_be_visible()
    page.reload()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".timeline-row").first).to_be_visible()
    expect(page).to_have_url(re.compile("/timeline$"))


def test_the_timeline_zooms_and_compresses_idle_time(page: Page, busy: str) -> None:
    """Plus and minus zoom around the middle; without compression, the same bar is not wider."""
    page.goto(f"/{busy}/timeline")
    box = page.get_by_role("region", name="Timeline")
    it = bar(page, "search/tasks/index/attempts/1")
    expect(it).to_be_visible()
    fitted = it.evaluate("it => it.offsetWidth")
    assert box.evaluate("it => it.scrollWidth - it.clientWidth") <= 1
    page.get_by_role("button", name="Zoom in").click()
    box.press("+")
    box.press("+")
    box.press("+")
    assert box.evaluate("it => it.scrollWidth > it.clientWidth * 4")
    assert it.evaluate("it => it.offsetWidth") > fitted
    page.get_by_role("button", name="Fit").click()
    assert box.evaluate("it => it.scrollWidth - it.clientWidth") <= 1
    page.get_by_label("Compress idle time").uncheck()
    expect(page.locator(".timeline-gap")).to_have_count(0)


def test_no_time_on_the_axis_reaches_beyond_its_end(page: Page, busy: str) -> None:
    """A timeline that fits does not scroll, wherever its last time label is."""
    page.goto(f"/{busy}/timeline")
    box = page.get_by_role("region", name="Timeline")
    expect(bar(page, "search/tasks/index/attempts/1")).to_be_visible()
    # ticks() in timelineScale.ts reserves this much for the last label; the lane continues for 16 pixels.
    widths = box.evaluate(
        """(box) => ["20:00", "20:00:00"].map((words) => {
          const text = document.createElement("span");
          text.className = "num";
          text.textContent = words;
          box.querySelector(".timeline-axis").append(text);
          const width = text.offsetWidth;
          text.remove();
          return width;
        })"""
    )
    assert 0 < widths[0] <= 30 + 16
    assert 0 < widths[1] <= 42 + 16
