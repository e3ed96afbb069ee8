"""Messages, approvals and resets by the operator."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs

LISTENING = """
name: Listening
epics:
  - key: alpha
    title: Alpha
    tasks:
      - key: one
        title: First thing
        prompt: Do it.
        script:
          - ask: May I?
          - say: Thank you.
          - wait: 60s
  - key: beta
    title: Beta
    tasks:
      - key: one
        title: A command
        prompt: Do it.
        agent: "command:sleep 60"
"""


GOING_BACK = """
name: Going back
defaults: {merge: manual}
epics:
  - key: alpha
    tasks:
      - {key: one, title: First thing, script: [{run: "date +%s%N > one.txt"}]}
      - {key: two, title: Second thing, script: [{run: "date +%s%N > two.txt"}]}
"""


def test_accepted_work_is_done_anew_from_the_history(page: Page, runs: Runs) -> None:
    """The button asks first and says what it sets aside; then the task and the one after it run again."""
    name = runs.start(GOING_BACK)
    runs.wait_for(f"{name}/epics/alpha/tasks/two/attempts/1", "accepted")
    page.goto(f"/{name}/epics/alpha/tasks/one/attempts/1?tab=history")
    first = page.locator(".history-task", has_text="First thing")
    first.get_by_role("button", name="Retry from here").click()
    expect(first).to_contain_text("Set aside its commit and 1 after it?")
    first.get_by_role("button", name="Retry from here").click()
    runs.wait_for(f"{name}/epics/alpha/tasks/two/attempts/2", "accepted")
    expect(first.locator(".attempts tbody tr")).to_have_count(2)
    runs.cancel(name)


def test_a_running_agent_is_told_something(page: Page, busy: str) -> None:
    """Enter sends a message; it is shown as pending until the session has it."""
    page.goto(f"/{busy}/epics/search/tasks/ranking/attempts/1")
    field = page.get_by_label("Instructions to the agent")
    field.fill("Use the index of last year.")
    with page.expect_response("**:send") as answer:
        field.press("Enter")
    assert answer.value.ok
    expect(field).to_have_value("")
    expect(page.locator(".operator", has_text="Use the index of last year.")).to_be_attached()
    expect(page.locator(".steer-sent")).to_have_count(0)
    field.press("Escape")
    expect(page.get_by_role("tab", selected=True)).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_be_visible()


@pytest.mark.complains("409 ")
def test_an_agent_that_takes_no_messages_says_so(page: Page, runs: Runs) -> None:
    """The refusal says why, and the message field disappears."""
    name = runs.start(LISTENING)
    runs.wait_for(f"{name}/epics/beta/tasks/one/attempts/1", "running")
    page.goto(f"/{name}/epics/beta/tasks/one/attempts/1")
    field = page.get_by_label("Instructions to the agent")
    field.fill("Hurry.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("messages")
    expect(field).to_have_count(0)
    runs.cancel(name)


def test_an_approval_is_denied_in_the_session_with_a_message(page: Page, runs: Runs) -> None:
    """The session shows the answer next to its question and the message in its log."""
    name = runs.start(LISTENING)
    attempt = f"{name}/epics/alpha/tasks/one/attempts/1"
    runs.wait_for(attempt, "waiting")
    page.goto(f"/{attempt}")
    dialog = page.locator("dialog.session")
    dialog.get_by_role("button", name="With a message…").click()
    dialog.get_by_label("Message to the agent").fill("Not today.")
    dialog.get_by_role("button", name="Deny").click()
    expect(dialog.locator(".approval")).to_have_count(0)
    expect(dialog.locator(".stream")).to_contain_text(re.compile(r"May I\?.*Denied"))
    page.goto(f"/{attempt}?tab=logs")
    expect(page.locator(".log-row", has_text="denied: Not today.")).to_be_visible()
    runs.cancel(name)
