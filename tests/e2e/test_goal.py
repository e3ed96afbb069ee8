"""From a goal in plain words to a started run, in the browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.test_accessibility import grave_violations
from tests.support.repositories import make_repository

PLAN = """\
name: Greeting
defaults: {agent: scripted}
epics:
  - key: hello
    title: Say hello
    tasks:
      - {key: one, estimate: 1m, prompt: Say it., checks: ["true"], source: "goal#1"}
"""

# Waits for a file that is never there unless `{wait}` is empty; a first answer without a plan goes back to it.
AGENT = "if grep -q 'has no plan'; then cat answer.txt; else echo Hm.; fi"


@pytest.fixture
def form(page: Page, runs: Runs, request: pytest.FixtureRequest) -> Page:
    """The form with a repository whose agent is a command that drafts a plan."""
    folder = runs.repository.parent / f"goal-{request.node.name}"
    make_repository(
        folder, {"answer.txt": f"It is **short**.\n\n```yaml\n{PLAN}```\n", "bad.yaml": "epics: []\n"}
    )
    page.goto("/new")
    page.get_by_label("Repository").fill(str(folder))
    return page


def choose_agent(form: Page, command: str) -> None:
    form.get_by_label("Agent", exact=True).select_option("command:")
    form.get_by_label("Command", exact=True).fill(command)


def test_a_goal_becomes_a_started_run(form: Page) -> None:
    """The drafted plan is in the editor with its preview and the agent's reasons, survives a reload, and starts."""
    expect(form.get_by_role("button", name="Draft a plan")).to_be_disabled()
    form.get_by_label("Describe what you want").fill("Say hello to people")
    choose_agent(form, AGENT)
    form.get_by_role("button", name="Draft a plan").click()
    expect(form.get_by_text("The plan is drafted.")).to_be_visible()
    expect(form.get_by_label("Plan", exact=True)).to_contain_text("name: Greeting")
    expect(form.get_by_label("The agent's reasons").locator("strong")).to_have_text("short")
    expect(form.get_by_text("1 epic, 1 task, no errors")).to_be_visible()
    expect(form.locator(".outlook-facts")).to_contain_text(re.compile("Estimated time\\s*1 min"))
    assert grave_violations(form) == []
    form.reload()
    expect(form.get_by_text("The plan is drafted.")).to_be_visible()
    expect(form.get_by_label("Describe what you want")).to_have_value("Say hello to people")
    with form.context.expect_page() as opened:
        form.get_by_role("link", name="See how it was drafted").click()
    draft = opened.value
    expect(draft.get_by_role("heading", name="Draft: Say hello to people")).to_be_visible()
    expect(draft.locator(".run-line .status")).to_have_text("Succeeded")
    draft.get_by_role("link", name="Open its plan").click()
    draft.wait_for_url(re.compile(r"/new\?draft=draft-say-hello"))
    expect(draft.get_by_label("Plan", exact=True)).to_contain_text("name: Greeting")
    draft.close()
    form.get_by_role("button", name="Start run").click()
    form.wait_for_url(re.compile("/runs/greeting-"))
    expect(form.locator(".run-line .status")).to_have_text("Succeeded")


def test_a_draft_that_fails_can_be_edited(form: Page) -> None:
    """Errors are listed; the last text replaces what is in the editor only when asked for; a draft can be stopped."""
    form.get_by_label("Plan", exact=True).fill("name: Mine")
    form.get_by_label("Describe what you want").fill("Break it")
    choose_agent(form, "cat bad.yaml")
    form.get_by_role("button", name="Draft a plan").click()
    expect(form.get_by_text("The draft failed: its last plan has errors.")).to_be_visible()
    expect(form.get_by_label("Why the draft cannot be started")).to_contain_text("needs at least one epic")
    expect(form.get_by_label("Plan", exact=True)).to_contain_text("name: Mine")
    form.get_by_role("button", name="Edit its last text").click()
    expect(form.get_by_label("Plan", exact=True)).to_contain_text("epics: []")
    choose_agent(form, "sleep 600")
    form.get_by_role("button", name="Draft again").click()
    expect(form.get_by_text("The agent reads the repository…")).to_be_visible()
    form.get_by_role("button", name="Stop drafting").click()
    expect(form.get_by_text("Stopped.", exact=True)).to_be_visible()
