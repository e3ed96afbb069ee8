"""The tabs of a session in detail: history, screenshots, quality and costs."""

import re

from playwright.sync_api import Page, Route, expect

INDEX = "epics/search/tasks/index/attempts"
RANKING = "epics/search/tasks/ranking/attempts/1"


def test_each_attempt_unfolds_to_its_change(page: Page, deep: str) -> None:
    """The history shows the changes of failed and accepted attempts, on a narrow screen too."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/{deep}/{RANKING}?tab=history")
    first = page.locator(".history-task").first
    expect(first.locator(".attempts tbody .status")).to_have_text(["Failed", "Done"])
    changes = first.get_by_role("button", name=re.compile("Change of attempt"))
    changes.first.click()
    expect(changes.first).to_have_attribute("aria-expanded", "true")
    expect(first.locator(".diff-file", has_text="index.py")).to_contain_text("def index(words):")
    assert page.locator("#tab-panel > .scroll").evaluate("it => it.scrollWidth - it.clientWidth") <= 0
    changes.first.click()
    expect(first.locator(".diff-file")).to_have_count(0)


def test_the_pictures_of_the_epic_stand_by_task_and_two_are_compared(page: Page, deep: str) -> None:
    """Pictures are grouped by task; two are compared by slider or side by side; Esc keeps the session open."""
    page.goto(f"/{deep}/{RANKING}?tab=screenshots")
    panel = page.get_by_role("tabpanel")
    expect(panel.locator(".shot")).to_have_count(2)
    panel.get_by_role("button", name="Whole epic").click()
    expect(panel.locator(".gallery-group h3")).to_have_text(
        [
            re.compile("Index documents"),
            re.compile("Index documents · attempt 2"),
            re.compile("Ranking by recency"),
        ]
    )
    panel.get_by_role("button", name="Compare: Newest first").click()
    panel.get_by_role("button", name="Compare: Oldest last").click()
    both = page.get_by_role("dialog", name="Compare two screenshots")
    expect(both.locator("img")).to_have_count(2)
    slider = both.get_by_label("Share of the first screenshot")
    slider.press("End")
    assert both.locator(".compare-over").evaluate("it => getComputedStyle(it).clipPath").endswith("100%)")
    both.get_by_role("button", name="Side by side").click()
    expect(slider).to_have_count(0)
    page.keyboard.press("Escape")
    expect(both).to_have_count(0)
    expect(panel).to_be_visible()


def test_the_checks_of_each_commit_stand_below_each_other(page: Page, deep: str) -> None:
    """Each commit is listed with the counts of its checks' reports, or says that there is no report."""
    page.goto(f"/{deep}/{RANKING}?tab=quality")
    rows = page.get_by_label("Checks of each commit").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("2 passed")
    expect(rows.first).to_contain_text("Index documents")
    expect(rows.nth(1)).to_contain_text("\u2013")


def told_apart(route: Route) -> None:
    """Answers with the reports of the run, of which one is a sub-agent's."""
    answer = route.fetch()
    found = answer.json()
    for turn in found["turns"]:
        if turn["model"] == "house-model":
            turn |= {"parent_tool_call_id": "call", "sub_agent": "Look for <b>callers</b>"}
    route.fulfill(response=answer, json=found)


def test_costs_are_told_over_time_and_by_scope(page: Page, deep: str) -> None:
    """The scope selects chart and models; with a budget, unpriced models are estimated and totals projected."""
    page.route("**/turns?kinds=usage*", told_apart)
    page.goto(f"/{deep}/{RANKING}?tab=costs")
    scopes = page.get_by_role("group", name="Scope of the chart and the models")
    expect(scopes.get_by_role("button", name="This session")).to_contain_text("~$0.046")
    expect(page.get_by_role("img", name=re.compile(r"Cost over time: \$0\.046"))).to_be_visible()
    expect(page.locator(".outlook")).to_contain_text(re.compile(r"Projected total\s*~\$0\.\d+"))
    agents = page.locator(".sub-agents")
    expect(agents.locator("thead th")).to_have_text(
        ["Agent", "Input", "Output", "Cache read", "Cache write", "Cost"]
    )
    expect(agents.locator("tbody th")).to_have_text(["The session's own agent", "Look for <b>callers</b>"])
    expect(agents.locator("tbody tr").last).to_contain_text(re.compile(r"10\s*5\s*0\s*0"))
    run = scopes.get_by_role("button", name="Run")
    run.click()
    expect(run).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="By model, in the run")).to_be_visible()
    expect(page.locator(".outlook")).to_contain_text(
        re.compile(r"Budget \(run\)\s*\$5\.00\s*Left\s*\$4\.9\d")
    )
    page.get_by_role("group", name="Chart of").get_by_role("button", name="Tokens").click()
    expect(page.get_by_role("img", name=re.compile(r"Tokens over time: Input 6,610"))).to_be_visible()
