"""Many items that wait: grouped by run and kind, answered at once, and snoozed."""

import re
import sys

from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.test_accessibility import grave_violations
from tests.support import acp_agent

MANY = """
name: Many at once
defaults: {retries: 0}
epics:
  - {key: a, tasks: [{key: t, title: Ask one, prompt: p, script: [{ask: May I do one?}, {wait: 30m}]}]}
  - {key: b, tasks: [{key: t, title: Ask two, prompt: p, script: [{ask: May I do two?}, {wait: 30m}]}]}
  - {key: c, tasks: [{key: t, title: Ask three, prompt: p, script: [{ask: May I do three?}, {wait: 30m}]}]}
  - {key: d, tasks: [{key: t, title: Fail one, prompt: p, script: [{fail: {message: Gone., attempts: 1}}, {wait: 30m}]}]}
  - {key: e, tasks: [{key: t, title: Fail two, prompt: p, script: [{fail: {message: Gone., attempts: 1}}, {wait: 30m}]}]}
"""

TOOL = f"""
name: Calls a tool
epics:
  - {{key: a, tasks: [{{key: t, prompt: ask npm test, agent: "acp:{sys.executable} {acp_agent.__file__}"}}]}}
"""


def test_many_items_are_answered_at_once(page: Page, runs: Runs) -> None:
    """Items of one run and kind have a head that answers all of them; a single one has none. What an answer allows in its run is revoked there."""
    name = runs.start(MANY)
    for epic in "abc":
        runs.wait_for(f"{name}/epics/{epic}/tasks/t/attempts/1", "waiting")
    for epic in "de":
        runs.wait_for(f"{name}/epics/{epic}/tasks/t/attempts/1", "failed")
    page.goto(f"/{name}")
    mine = page.locator(f'.attention-item[data-key^="{name}/"]')
    page.locator(".attention-button.has-question").click()
    expect(mine).to_have_count(5)
    questions = page.locator(".inbox-head", has_text=re.compile("Many at once 3 questions"))
    failures = page.locator(".inbox-head", has_text=re.compile("Many at once 2 failed tasks"))
    assert grave_violations(page) == []
    questions.get_by_role("button", name="Allow all 3").click()
    # It asks first.
    expect(mine).to_have_count(5)
    questions.get_by_role("button", name="Allow all", exact=True).click()
    expect(mine).to_have_count(2)
    failures.get_by_role("button", name="Retry all 2").click()
    expect(mine).to_have_count(0)
    for epic in "abc":
        runs.wait_for(f"{name}/epics/{epic}/tasks/t/attempts/1", "running")
    for epic in "de":
        runs.wait_for(f"{name}/epics/{epic}/tasks/t/attempts/2", "running")
    runs.cancel(name)

    name = runs.start(TOOL)
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"/{name}")
    page.locator(".card").get_by_role("button", name="Always in run").click()
    runs.wait_for(f"{name}/epics/a/tasks/t/attempts/1", "accepted")
    allowed = page.get_by_role("list", name="Allowed in this run:")
    expect(allowed).to_contain_text("Bash(npm test)")
    assert grave_violations(page) == []
    allowed.get_by_role("button", name="Revoke Bash(npm test)").press("Enter")
    expect(page.locator(".toast")).to_contain_text("No answer allows Bash(npm test) in later sessions")
    expect(allowed).to_have_count(0)
    assert runs.get_run(name)["granted"] == []


def test_a_question_is_snoozed_and_comes_back(page: Page, runs: Runs) -> None:
    """A snoozed item is not counted for an hour, also after a reload, and can be shown at once."""
    name = runs.start(MANY)
    attempt = f"{name}/epics/a/tasks/t/attempts/1"
    runs.wait_for(attempt, "waiting")
    page.clock.install()
    page.goto(f"/{name}")
    item = page.locator(f'.attention-item[data-key^="{name}/epics/a"]')
    page.locator(".attention-button.has-question").click()
    expect(item).to_be_visible()
    item.focus()
    page.keyboard.press("s")
    expect(item).to_have_count(0)
    note = page.locator(".attention-snoozed")
    expect(note).to_contain_text("1 snoozed in this browser")
    page.reload()
    page.locator(".attention-button").click()
    expect(note).to_be_visible()
    expect(item).to_have_count(0)
    page.clock.fast_forward("01:00:02")
    expect(item).to_be_visible()
    expect(note).to_have_count(0)
    item.get_by_role("button", name="Snooze for an hour").click()
    note.get_by_role("button", name="Show now").click()
    expect(item).to_be_visible()
    runs.cancel(name)
