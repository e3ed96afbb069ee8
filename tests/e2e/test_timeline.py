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
    beyond = box.evaluate(
        """async (box) => {
          const { createScale, ticks } = (await import("heddle")).modules["timeline_scale.js"];
          const axis = box.querySelector(".timeline-axis").cloneNode();
          axis.style.width = "600px";
          box.append(axis);
          const ends = [];
          for (let seconds = 20; seconds < 4000; seconds += seconds < 300 ? 1 : 17) {
            const span = { from: 0, to: seconds * 1000, waits: [] };
            for (const { x, seconds: exact } of ticks(createScale([span], span.to, false), 600).slice(-1)) {
              const text = document.createElement("span");
              text.textContent = exact ? "20:00:00" : "20:00";
              text.style.left = `${x}px`;
              axis.append(text);
              ends.push(x + text.offsetWidth);
            }
          }
          axis.remove();
          return { most: Math.max(...ends), count: ends.length };
        }"""
    )
    assert beyond["count"] > 100
    # The lane continues for 16 pixels.
    assert beyond["most"] <= 616


def test_idle_time_is_compressed(page: Page) -> None:
    """A gap of hours between two minutes of work takes little width; order is kept and nothing overlaps."""
    page.goto("/")
    places = page.evaluate(
        """async () => {
          const { createScale } = (await import("heddle")).modules["timeline_scale.js"];
          const minute = 60000, spans = [[0, 1], [300, 301]].map(([from, to]) => ({ from: from * minute, to: to * minute, waits: [] }));
          const at = (scale) => [0, 1, 300, 301].map((time) => scale.place(time * minute));
          return { plain: at(createScale(spans, 301 * minute, false)), compressed: at(createScale(spans, 301 * minute, true)) };
        }"""
    )
    assert places["plain"][1] < 0.01
    compressed = places["compressed"]
    assert compressed == sorted(compressed)
    assert (compressed[0], compressed[3]) == (0, 1)
    assert compressed[1] > 0.45
    assert compressed[2] - compressed[1] < 0.05


def test_of_what_goes_on_the_path_is_where_most_is_left(page: Page) -> None:
    """In an active run, the critical path goes back from the epic with most tasks left over dependencies."""
    page.goto("/")
    path = page.evaluate(
        """async () => {
          const { criticalPath } = (await import("heddle")).modules["timeline_spans.js"];
          const span = (key, epic, from, to) => ({ key, epic, from, to, waits: [] });
          const spans = [
            span("base", "a", 0, 5), span("merge a", "a", 5, 6),
            span("short", "b", 6, null), span("long 1", "c", 6, 8), span("long 2", "c", 8, null),
          ];
          const needs = { b: ["a"], c: ["a"] };
          return [...criticalPath(spans, (key) => needs[key] ?? [], (key) => ({ b: 1, c: 3 })[key] ?? 0)];
        }"""
    )
    assert path == ["long 2", "long 1", "merge a", "base"]
