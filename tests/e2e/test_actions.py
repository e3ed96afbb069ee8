"""What waits or failed is acted on where it is shown: on its card, in its row and in its session."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.plans import CLASH, SMALL
from tests.e2e.runs import Runs

# One epic is merged by hand, and the task of the other fails in its first attempt.
TO_DO = """
name: To do
defaults:
  retries: 0
epics:
  - key: merge
    title: Merged by hand
    merge: manual
    tasks:
      - key: t
        title: Write a page
        prompt: Do it.
        script: [{write: {path: a.txt, text: a}}]
  - key: retry
    title: Failing once
    tasks:
      - key: t
        title: Write a part
        prompt: Do it.
        script: [{fail: {message: It broke., attempts: 1}}, {write: {path: b.txt, text: b}}]
"""

FAILING = """
name: Failing check
defaults:
  retries: 0
epics:
  - key: part
    tasks:
      - key: t
        title: Write a part
        prompt: Do it.
        checks: [{name: tests, run: "echo 3 is not 4; exit 1"}]
        script: [{write: {path: b.txt, text: b}}, {run: echo done}]
"""


def test_a_card_offers_what_its_epic_waits_for(page: Page, runs: Runs) -> None:
    """A planned merge is merged from its card, and a failed task is retried from its row."""
    name = runs.start(TO_DO)
    runs.wait_for(f"{name}/epics/merge/tasks/t/attempts/1", "accepted")
    runs.wait_for(f"{name}/epics/retry/tasks/t/attempts/1", "failed")
    page.goto(f"/{name}")
    merge = page.locator('[data-epic="merge"]')
    merge.get_by_role("button", name="Merge", exact=True).click()
    expect(page.locator(".toast")).to_have_text(re.compile("Merge of Merged by hand requested"))
    expect(merge.locator(".status", has_text="Merged")).to_be_visible()
    page.keyboard.press("c")
    row = page.locator('[data-epic="retry"].is-slim')
    row.get_by_role("button", name="Retry", exact=True).click()
    expect(row.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_conflict_is_given_to_an_agent_from_its_card(page: Page, runs: Runs) -> None:
    """The card of a conflicting epic and its row have the button, and the toast claims no outcome."""
    name = runs.start(CLASH)
    runs.wait_for_run(name, "failed")
    page.goto(f"/{name}")
    lane = page.locator('[data-epic="two"]')
    expect(lane.get_by_role("button", name="Merge again")).to_be_visible()
    page.keyboard.press("c")
    with page.expect_response("**:resolve") as answer:
        lane.get_by_role("button", name="Resolve").click()
    assert answer.value.ok
    expect(page.locator(".toast")).to_contain_text("An agent will resolve the conflict of Second")
    runs.cancel(name)


def test_a_row_leads_to_the_question(page: Page, runs: Runs) -> None:
    """In compact rows, a waiting epic has the button *Answer*, which opens its session with the question."""
    name = runs.start(SMALL)
    runs.wait_for(f"{name}/epics/beta/tasks/one/attempts/1", "waiting")
    page.goto(f"/{name}")
    expect(page.locator('[data-epic="beta"]')).to_be_visible()
    page.keyboard.press("c")
    page.locator('[data-epic="beta"]').get_by_role("button", name="Answer").click()
    expect(page.locator("dialog.session .approval")).to_contain_text("May I?")
    runs.cancel(name)


def test_a_failed_session_shows_why_and_is_retried_there(page: Page, runs: Runs) -> None:
    """The first tab of a failed attempt has the output of the failing check and the button for another attempt."""
    name = runs.start(FAILING)
    attempt = f"{name}/epics/part/tasks/t/attempts/"
    runs.wait_for(f"{attempt}1", "failed")
    page.goto(f"/{attempt}1")
    panel = page.get_by_role("tabpanel")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Current")
    expect(panel.locator(".check pre")).to_have_text("3 is not 4")
    # Its last call was a command, not a change of the file.
    expect(panel.locator(".side-panel-word")).to_have_text("Edited last")
    panel.get_by_role("button", name="Retry", exact=True).click()
    runs.wait_for(f"{attempt}2", "failed")
    expect(panel.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    expect(panel.locator(".check pre")).to_have_text("3 is not 4")


def test_history_retries_with_a_model_and_skips(page: Page, runs: Runs) -> None:
    """In the session of a failed task, History gives it another attempt with a model of one's choice, and skips it."""
    name = runs.start(FAILING)
    attempt = f"{name}/epics/part/tasks/t/attempts/"
    runs.wait_for(f"{attempt}1", "failed")
    page.goto(f"/{attempt}1?tab=history")
    page.get_by_role("tab", name="History").click()
    task = page.locator(".history-task")
    task.get_by_role("button", name="Retry with…").click()
    task.get_by_role("combobox", name="Agent for Write a part").select_option("scripted")
    task.get_by_role("textbox", name="Model for Write a part").fill("large")
    task.get_by_role("button", name="Retry", exact=True).last.click()
    runs.wait_for(f"{attempt}2", "failed")
    task.get_by_role("button", name="Skip").click()
    expect(task.get_by_text("Skip it? The epic continues without it.")).to_be_visible()
    task.get_by_role("button", name="Skip").click()
    expect(task).to_contain_text("Skipped")
    expect(task.get_by_role("button", name="Skip")).to_have_count(0)
