"""Accessibility of the pages."""

from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.e2e.plans import WITH_MISTAKES

GRAVE = {"serious", "critical"}

PATHS = {
    "runs": "/",
    "board": "/{busy}",
    "timeline": "/{busy}/timeline",
    "changes": "/{busy}/changes?of=epics/search",
    "conflicts": "/{busy}/conflicts",
    "report": "/{busy}/report",
    "plan": "/{busy}/plan",
    "new run": "/new",
    "costs of all": "/costs",
    "costs of an epic": "/costs?of={busy}/epics/search",
    "current": "/{busy}/epics/search/tasks/ranking/attempts/1",
    "history": "/{busy}/epics/search/tasks/index/attempts/1?tab=history",
    "logs": "/{busy}/epics/search/tasks/index/attempts/1?tab=logs",
    "screenshots": "/{busy}/epics/search/tasks/index/attempts/1?tab=screenshots",
    "quality": "/{busy}/epics/search/tasks/index/attempts/1?tab=quality",
    "costs": "/{busy}/epics/search/tasks/index/attempts/1?tab=costs",
}

DEEP_PATHS = {
    "plan": "/{deep}/epics/search/tasks/ranking/attempts/1",
    "commits": "/{deep}/epics/search/tasks/ranking/attempts/1?tab=quality",
    "replay": "/{deep}/epics/search/tasks/ranking/attempts/1?tab=history&at=1",
    "past": "/{deep}?at=1",
}

# The element that each view shows once it is loaded.
SHOWN = ".run-row, .lane, .timeline-row, .diff-file, .queue, .report-facts, .cm-content, .cost-table"


# A page follows the scheme with its next frame, and some colours change gradually: axe must not look earlier.
SETTLED = """new Promise(painted => requestAnimationFrame(() => requestAnimationFrame(painted))).then(() =>
    Promise.allSettled(document.getAnimations().filter(each => each instanceof CSSTransition).map(each => each.finished)))
    .then(() => null)"""


def grave_violations(page: Page) -> list[str]:
    """Returns serious violations in the light scheme, and in the dark one, where only colours differ."""
    page.evaluate(AXE_SCRIPT)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.evaluate(SETTLED)
    found = [f"light: {each}" for each in _violations(page, {})]
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.evaluate(SETTLED)
    colours = {"runOnly": ["color-contrast", "link-in-text-block"]}
    return [*found, *(f"dark: {each}" for each in _violations(page, colours))]


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    # The other results, such as every rule that an element passes, would only be sent and thrown away.
    limited = {"resultTypes": ["violations"], **options}
    found: list[dict[str, Any]] = page.evaluate(
        "options => axe.run(options).then(results => results.violations)", limited
    )
    return [
        f"{each['id']}: {node['html'][:200]} ({node['failureSummary'][:200]})"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


@pytest.mark.timeout(300)  # it looks at every page
def test_axe_finds_nothing_serious(page: Page, busy: str) -> None:
    """Axe finds no serious violation on any view, in the light and the dark scheme."""
    found = {}
    for view, path in PATHS.items():
        page.goto(path.format(busy=busy))
        expect(page.locator(SHOWN).first).to_be_visible()
        if "attempts" in path:
            expect(page.get_by_role("tabpanel")).to_be_visible()
        violations = grave_violations(page)
        if violations:
            found[view] = violations
    assert found == {}


def test_sessions_of_depth_and_their_replay_are_accessible(page: Page, deep: str) -> None:
    """A session with a plan, a change next to messages, a commit table and a replay slider is accessible."""
    for view, path in DEEP_PATHS.items():
        page.goto(path.format(deep=deep))
        expect(page.locator(".lane").first).to_be_visible()
        if "at=" in path:
            expect(page.get_by_role("group", name="Replay")).to_be_visible()
        assert grave_violations(page) == [], view


def test_what_waits_is_accessible(page: Page, busy: str) -> None:
    """The list of questions and failures over a board is accessible."""
    page.goto(f"/{busy}")
    page.locator(".attention-button.has-question").click()
    expect(page.locator(".attention-item").first).to_be_focused()
    assert grave_violations(page) == []


def test_the_form_for_a_run_is_accessible(page: Page) -> None:
    """The new-run form is accessible, both with a plan preview and with errors."""
    page.goto("/new")
    # The framework's own progress bar, which has no name, would appear during every request.
    assert "native code" in page.evaluate("XMLHttpRequest.prototype.open.toString()")
    page.get_by_role("button", name="Insert an example").click()
    expect(page.locator(".plan-bars")).to_be_visible()
    assert grave_violations(page) == []
    page.get_by_label("Plan", exact=True).fill(WITH_MISTAKES)
    expect(page.locator(".editor-problem").first).to_be_visible()
    assert grave_violations(page) == []


def test_a_compact_board_is_accessible(page: Page, busy: str) -> None:
    """A compact board, with rows instead of cards, is accessible."""
    page.goto(f"/{busy}")
    page.get_by_role("button", name="Compact rows").click()
    expect(page.locator(".lane.is-slim")).to_have_count(4)
    assert grave_violations(page) == []


def test_the_page_names_its_language_and_does_not_flash(page: Page) -> None:
    """The document has a language; the chosen theme is applied before the first paint, after a reload too."""
    page.emulate_media(color_scheme="light")
    page.goto("/")
    assert page.locator("html").get_attribute("lang") == "en-US"
    page.get_by_role("button", name="Switch to dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => window.early = document.documentElement.dataset.theme)"
    )
    page.reload()
    assert page.evaluate("window.early") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
