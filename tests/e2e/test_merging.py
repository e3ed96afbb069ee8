"""The operator's actions for a conflicting epic, on the page of conflicts."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.web_tools import ROOT

# Whichever is merged second conflicts. The agent's file has no markers, so running it again resolves that.
CLASHING = """
name: Clashing
defaults:
  agent: "command:echo $HEDDLE_EPIC $HEDDLE_TASK > same.txt"
epics:
  - key: one
    title: First
    tasks:
      - {key: write, title: Write it, prompt: Do it.}
  - key: two
    title: Second
    tasks:
      - {key: write, title: Write it otherwise, prompt: Do it.}
"""


@pytest.fixture
def conflicted(page: Page, runs: Runs) -> str:
    """A run that failed over a conflict, with its page of conflicts open."""
    name = runs.start(CLASHING)
    runs.wait_for_run(name, "failed")
    page.goto(f"/{name}/conflicts")
    expect(page.locator(".queue li.tone-bad")).to_have_count(1)
    return name


def test_an_agent_resolves_what_conflicts(page: Page, runs: Runs, conflicted: str) -> None:
    """A click adds a task and resumes the run, until both epics are merged; the worktree is kept until then."""
    expect(page.locator(".disk-use")).to_have_attribute("title", re.compile("^1 worktree "))
    resolve = page.get_by_role("button", name="Resolve with an agent")
    with page.expect_response("**:resolve") as answer:
        resolve.click()
    assert answer.value.ok
    runs.wait_for_run(conflicted, "succeeded")
    expect(page.locator(".queue").get_by_text("Merged", exact=True)).to_have_count(2)
    expect(resolve).to_have_count(0)
    assert runs.get_run(conflicted)["tasks"]["accepted"] == 3


def test_an_epic_that_conflicts_is_dropped(page: Page, runs: Runs, conflicted: str) -> None:
    """After a click, the epic is dropped and the run succeeds without it."""
    drop = page.get_by_role("button", name="Drop")
    with page.expect_response("**:drop") as answer:
        drop.click()
    assert answer.value.ok
    runs.wait_for_run(conflicted, "succeeded")
    expect(page.locator(".queue").get_by_text("Not merged", exact=True)).to_have_count(1)
    expect(page.locator(".queue").get_by_text("Merged", exact=True)).to_have_count(1)
    expect(drop).to_have_count(0)


# Every word for a state, as the web app has it.
WORDS = re.findall(r'of\("([^"]+)"', (ROOT / "ui_svc" / "web" / "src" / "model" / "status.ts").read_text())

# Puts a word into the first state; returns by how many pixels it is wider than its column leaves.
OVERLAP = """
([row, word]) => {
  const [status, next] = document.querySelector(row).children;
  const text = status.querySelector("span");
  text.textContent = word;
  const end = Math.max(text.getBoundingClientRect().left + text.scrollWidth, text.getBoundingClientRect().right);
  return end - next.getBoundingClientRect().left;
}
"""


def test_no_state_covers_the_name_of_its_epic(page: Page, conflicted: str) -> None:
    """In the merge queue and in compact rows, every word for a state fits before the name."""
    rows = {"": ".board .slim", "/conflicts": ".queue li"}
    for view, row in rows.items():
        page.goto(f"/{conflicted}{view}")
        expect(page.locator(row).first).to_be_visible()
        wide = [word for word in WORDS if page.evaluate(OVERLAP, [row, word]) > 0]
        assert wide == []
