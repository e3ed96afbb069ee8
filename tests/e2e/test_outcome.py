"""The result of a run that has ended, and the actions that its page offers."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.test_accessibility import grave_violations
from tests.support.repositories import git, make_repository

GOOD = """
name: Good work
merge_into: release
epics:
  - key: api
    title: Backend
    tasks:
      - key: one
        title: Write it
        prompt: Do it.
        script:
          - write: {path: api.txt, text: "one\\ntwo\\n"}
          - usage: {model: claude-sonnet-4-5, input_tokens: 900, output_tokens: 90, cost_usd: 0.02}
  - key: web
    title: Frontend
    tasks:
      - {key: one, title: Draw it, prompt: Do it., script: [{write: {path: web.txt, text: "one\\n"}}]}
"""

# Two tasks succeed in their second attempt; one never does with its own agent.
NEEDS_HELP = """
name: Needs help
defaults: {retries: 0}
epics:
  - key: one
    title: First
    tasks:
      - {key: t, title: Flaky, prompt: p, script: [{fail: {message: The server is away., attempts: 1}}]}
  - key: two
    title: Second
    tasks:
      - {key: t, title: Flaky too, prompt: p, script: [{fail: {message: It is still away., attempts: 1}}]}
  - key: three
    title: Third
    tasks:
      - {key: t, title: Hopeless, prompt: p, script: [{fail: This cannot work.}]}
      - {key: u, title: After it, prompt: p, script: [{write: {path: after.txt, text: "x\\n"}}]}
  - key: four
    title: Fourth
    tasks:
      - {key: t, title: Fine, prompt: p, script: [{write: {path: fine.txt, text: "x\\n"}}]}
"""


@pytest.fixture
def own(servers: Servers, tmp_path: Path) -> Runs:
    """Runs on a repository of this test alone, with a branch that is not checked out."""
    repository = make_repository(tmp_path / "garden", {"README.md": "# Garden\n"})
    git(repository, "branch", "release")
    return Runs(servers.url, servers.token, repository)


def test_a_run_that_succeeded_says_where_its_work_is(page: Page, own: Runs) -> None:
    """The panel has the branches, the merge, time, cost, lines and the next command; it starts the run again."""
    name = own.start(GOOD)
    page.goto(f"/{name}")
    outcome = page.locator(".outcome")
    expect(outcome.get_by_role("heading", name="All 2 tasks done and merged")).to_be_visible(timeout=60_000)
    commit = git(own.repository, "rev-parse", "release").strip()
    expect(outcome).to_contain_text(re.compile(rf"Merged into release as {commit[:8]}"))
    facts = outcome.locator(".outcome-facts")
    expect(facts).to_contain_text(re.compile(r"Cost\s*\$0\.020"))
    expect(facts).to_contain_text(re.compile(r"Lines\s*\+3 −0"))  # noqa: RUF001 (the minus sign that the page shows)
    outcome.locator("summary").click()
    expect(outcome.locator("details li")).to_have_count(2)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    outcome.get_by_role("button", name="Copy the command: Push it").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"git -C {own.repository} push origin release"
    assert grave_violations(page) == []
    outcome.get_by_role("button", name="Run it again").click()
    page.wait_for_url(lambda url: "/runs/good-work-" in url and not url.endswith(name))
    again = page.url.split("/", 3)[3]
    assert own.wait_for_run(again, "succeeded", "failed")["base_ref"] == own.get_run(name)["base_ref"]


def test_a_run_that_failed_says_why_and_offers_what_helps(page: Page, own: Runs) -> None:
    """Each failure has its reason and buttons: skip it, retry all; what is done by then no longer is listed."""
    name = own.start(NEEDS_HELP)
    own.wait_for_run(name, "failed")
    page.goto(f"/{name}")
    outcome = page.locator(".outcome")
    expect(outcome.get_by_role("heading")).to_contain_text(["2 of 5 tasks done, 3 failed", "Where", "Next"])
    hopeless = outcome.locator(".outcome-item", has_text="Hopeless")
    expect(hopeless).to_contain_text("This cannot work.")
    assert grave_violations(page) == []
    hopeless.get_by_role("button", name="See what happened").click()
    expect(page.get_by_role("dialog", name=re.compile("Hopeless"))).to_be_visible()
    page.keyboard.press("Escape")
    hopeless.get_by_role("button", name="Skip").click()
    expect(hopeless).to_have_count(0)
    # The run ends again, now with two failures.
    retry = outcome.get_by_role("button", name="Retry all 2 failed")
    retry.click()
    own.wait_for_run(name, "succeeded")
    expect(outcome.get_by_role("heading", name=re.compile("^4 of 5 tasks done, 1 skipped$"))).to_be_visible()
    for epic in ("one", "two"):
        own.wait_for(f"{name}/epics/{epic}/tasks/t/attempts/2", "accepted")


def test_a_failed_task_is_retried_with_another_agent_and_the_rest_run_again(page: Page, own: Runs) -> None:
    """The agents to choose from are those of the workers; “the rest” is a new run of what was not accepted."""
    name = own.start(NEEDS_HELP)
    own.wait_for_run(name, "failed")
    page.goto(f"/{name}")
    hopeless = page.locator(".outcome-item", has_text="Hopeless")
    hopeless.get_by_role("button", name="Retry with…").click()
    agent = hopeless.get_by_label("Agent for Hopeless")
    expect(agent).to_be_focused()
    agent.select_option("command:")
    hopeless.get_by_label("Command").fill("echo done > hope.txt")
    hopeless.get_by_role("button", name="Retry", exact=True).last.click()
    own.wait_for(f"{name}/epics/three/tasks/t/attempts/2", "accepted")
    own.wait_for_run(name, "failed")
    page.locator(".outcome").get_by_role("button", name="Run the rest again").click()
    page.wait_for_url(lambda url: "/runs/needs-help-" in url and not url.endswith(name))
    rest = own.wait_for_run(page.url.split("/", 3)[3], "succeeded", "failed")
    assert rest["tasks"]["total"] == 2


SLOW = """name: Slow
epics:
  - key: only
    title: Only
    tasks:
      - {key: one, title: First, prompt: Do it., script: [{wait: 30m}]}
      # This comment stays.
      - {key: two, title: Second, prompt: Do that., script: [{say: x}]}
"""


@pytest.mark.complains("409 ")
def test_the_plan_of_a_run_is_edited_while_it_runs(page: Page, own: Runs) -> None:
    """The difference is shown before it is applied; what has started is locked; a stale plan is not overwritten."""
    name = own.start(SLOW)
    own.wait_for(f"{name}/epics/only/tasks/one/attempts/1", "running")
    page.goto(f"/{name}")
    page.get_by_role("link", name="Plan", exact=True).click()
    editor = page.get_by_label("Plan", exact=True)
    expect(editor).to_contain_text("# This comment stays.")
    editor.fill(SLOW.replace("Do it.", "Do it well."))
    changes = page.get_by_role("list", name="Difference")
    expect(changes).to_contain_text("Locked: it is running")
    apply = page.get_by_role("button", name="Apply the changes")
    expect(apply).to_be_disabled()
    editor.fill(SLOW.replace("Do that.", "Do that well."))
    expect(page.get_by_text("1 change, all can be applied")).to_be_visible()
    expect(changes).to_contain_text(
        re.compile(r"Task only/two\s*changed\s*prompt\s*Do that\.→Do that well\.")
    )
    assert grave_violations(page) == []
    apply.click()
    expect(page.get_by_text("Revision 2")).to_be_visible()
    assert own.get(f"{name}/plan")["yaml"] == SLOW.replace("Do that.", "Do that well.")
    # Someone else changes it in the meantime.
    editor.fill(SLOW.replace("Do that.", "Do that twice."))
    expect(apply).to_be_enabled()
    other = SLOW.replace("Do that.", "Do that first.")
    own.post(f"{name}/plan:apply", yaml=other, revision=2)
    # The page compares again by itself, or is refused when it applies.
    expect(page.locator(".plan-right").get_by_role("alert")).to_contain_text("changed")
    page.get_by_role("button", name="Discard mine and read the new plan").click()
    expect(editor).to_contain_text("Do that first.")
    own.cancel(name)


def test_a_task_is_added_from_the_actions_of_a_run(page: Page, own: Runs) -> None:
    """The menu opens by keyboard, offers what fits the state, and adds a task with its own agent and model."""
    name = own.start(SLOW)
    own.wait_for(f"{name}/epics/only/tasks/one/attempts/1", "running")
    page.goto(f"/{name}")
    menu = page.get_by_role("button", name="Actions")
    menu.press("Enter")
    expect(page.get_by_role("button", name="Add a task…")).to_be_focused()
    expect(page.get_by_role("button", name="Run the rest again")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    menu.click()
    page.get_by_role("button", name="Add a task…").click()
    dialog = page.get_by_role("dialog", name="Add a task")
    dialog.get_by_label("Prompt").fill("Write a summary.")
    dialog.get_by_label("Title").fill("Summary")
    dialog.get_by_label("Agent").select_option("scripted")
    assert grave_violations(page) == []
    dialog.get_by_role("button", name="Add the task").click()
    expect(page.locator(".row-title", has_text="Summary")).to_be_visible()
    tasks = own.get(f"{name}/epics/only/tasks")["tasks"]
    assert [each["title"] for each in tasks] == ["First", "Second", "Summary"]
    own.cancel(name)
