"""An agent's messages, plan and changes in the first tab of its session."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs

ASKING = """
name: Asking
epics:
  - key: alpha
    title: Alpha
    tasks:
      - key: one
        title: First thing
        prompt: Do it.
        script: [{ask: May I?}, {say: Thank you.}, {wait: 60s}]
"""


def test_reasoning_is_folded_and_calls_unfold(page: Page, deep: str) -> None:
    """One line summarises the reasoning; a tool call unfolds to its change, input and result."""
    page.goto(f"/{deep}/epics/search/tasks/ranking/attempts/1")
    thought = page.locator(".thinking")
    expect(thought).to_contain_text("Recency has to decay.")
    expect(thought).not_to_contain_text("half life")
    thought.locator("summary").click()
    expect(thought.locator(".markdown")).to_contain_text("A half life of a week")
    edit = page.locator(".tool", has_text="Edit")
    expect(edit.locator("summary .diff")).to_have_text("+1 \u22121")
    edit.locator("summary").click()
    expect(edit.locator(".diff-del .diff-text")).to_have_text("sorted(found)")
    expect(edit.locator(".diff-add mark")).to_have_text(", key=newest")
    expect(edit.locator(".tool-body")).to_contain_text("Edited rank.py")


def test_the_plan_and_the_edited_file_are_next_to_the_messages(page: Page, deep: str) -> None:
    """The agent's progress through its plan and all its changes to the file are next to the messages."""
    page.goto(f"/{deep}/epics/search/tasks/ranking/attempts/1")
    panel = page.get_by_label("Plan and current file")
    steps = panel.locator(".plan-steps li")
    expect(steps).to_have_text(["Read the index (done)", "Add the decay (in progress)", "Compare (left)"])
    expect(panel.get_by_text("1 of 3")).to_be_visible()
    expect(panel.locator("code")).to_have_text("rank.py")
    expect(panel.locator(".side-panel-word")).to_have_text("Edited last")
    expect(panel.locator(".diff-add")).to_have_count(3)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_question_is_answered_by_key(page: Page, runs: Runs) -> None:
    """In a session, m opens a message, Esc leaves it and a allows; the list of waiting items stays closed."""
    name = runs.start(ASKING)
    attempt = f"{name}/epics/alpha/tasks/one/attempts/1"
    runs.wait_for(attempt, "waiting")
    page.goto(f"/{attempt}")
    dialog = page.locator("dialog.session")
    expect(dialog.locator(".approval")).to_contain_text("May I?")
    page.keyboard.press("m")
    expect(dialog.get_by_label("Message to the agent")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog.get_by_label("Message to the agent")).to_have_count(0)
    page.keyboard.press("a")
    expect(dialog.locator(".approval")).to_have_count(0)
    expect(dialog.locator(".stream")).to_contain_text(re.compile(r"May I\?.*Allowed.*Thank you\.", re.DOTALL))
    expect(page.locator("dialog.attention")).to_have_count(0)
    runs.cancel(name)


def test_code_in_a_message_has_colours(page: Page, busy: str) -> None:
    """The code blocks of an agent's messages are coloured by their language, and their markup is text."""
    page.goto(f"/{busy}/epics/search/tasks/index/attempts/1")
    code = page.locator(".markdown pre").first
    code.scroll_into_view_if_needed()
    expect(code.locator(".hl-keyword")).to_have_text("return")
    expect(code.locator(".hl-string")).to_have_text("'<b>'")
