"""Candidates of a task on the board, in their sessions and in the inbox."""

import json
import re

from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.test_accessibility import grave_violations
from tests.e2e.waits import wait_until

PLAN = json.dumps(
    {
        "name": "Candidates",
        "epics": [
            {
                "key": "shop",
                "title": "Shop",
                "tasks": [
                    {
                        "key": "prices",
                        "title": "Round the prices",
                        "agent": 'command:echo "rounded $HEDDLE_CANDIDATE" > prices.txt; echo tried $HEDDLE_CANDIDATE',
                        "prompt": "Round them.",
                        "candidates": 3,
                        "checks": ["test $HEDDLE_CANDIDATE != 3"],
                    }
                ],
            }
        ],
    }
)


# Whether the second side of a file follows the first along one axis, at the same place on the other one.
FOLLOWS = """([along, across]) => {
  const sides = document.querySelectorAll('[data-file="prices.txt"] section');
  const [one, other] = [...sides].map((side) => side.getBoundingClientRect());
  return Boolean(other) && one[along] < other[along] && one[across] === other[across];
}"""


def compare(page: Page) -> None:
    """Their changes are next to each other, on a phone below each other; another candidate can be selected."""
    expect(page).to_have_url(re.compile(r"/changes\?of=.+prices@2/attempts/1&with=.+prices@1/attempts/1"))
    file = page.locator('[data-file="prices.txt"]')
    expect(file.get_by_role("group", name="candidate 2", exact=False)).to_contain_text("rounded 2")
    expect(file.get_by_role("group", name="candidate 1", exact=False)).to_contain_text("rounded 1")
    wait_until(page, FOLLOWS, ["x", "y"])
    page.set_viewport_size({"width": 390, "height": 844})
    wait_until(page, FOLLOWS, ["y", "x"])
    page.set_viewport_size({"width": 1280, "height": 800})
    # Without another candidate, the change is shown alone.
    page.get_by_label("Compare with").select_option("")
    expect(file.locator("section")).to_have_count(0)
    expect(file).to_contain_text("rounded 2")
    page.get_by_label("Compare with").select_option(label="Candidate 3 (failed)")


def test_a_person_compares_and_chooses(page: Page, runs: Runs) -> None:
    """The card lists the candidates, each opens its own session, and the chosen one is accepted."""
    run = runs.start(PLAN)
    task = f"{run}/epics/shop/tasks/prices"
    runs.wait_for(f"{task}@1/attempts/1", "submitted")
    runs.wait_for(f"{task}@2/attempts/1", "submitted")
    runs.wait_for(f"{task}@3/attempts/1", "failed")

    page.goto("/")
    mini = page.locator(".mini", has=page.locator(f'a[href="/{run}"]'))
    expect(mini.locator(".mini-row", has_text="Shop")).to_contain_text("Shop, Waiting for you")
    page.goto(f"/{run}")
    group = page.get_by_role("group", name="Candidates of Round the prices")
    expect(group).to_contain_text("3 candidates")
    expect(group.locator(".candidate")).to_have_text(["1Passed Choose", "2Passed Choose", "3Failed"])
    expect(page.locator(".card-now")).to_have_text("Choose a candidate")
    expect(page.locator(".card-lines")).to_have_count(0)
    expect(page.locator(".lane .row-title")).to_have_count(0)
    assert grave_violations(page) == []
    # The inbox has the choice.
    page.keyboard.press("a")
    item = page.locator(".attention-item", has_text="Round the prices")
    expect(item).to_contain_text("Choose a candidate: candidates 1 and 2 passed: choose one")
    item.get_by_role("link", name="Round the prices").click()

    modal = page.get_by_role("dialog").locator(".modal-box")
    expect(modal.get_by_role("heading", level=2)).to_contain_text("Round the prices, candidate 1")
    modal.get_by_role("link", name="2 Passed").click()
    expect(modal.get_by_role("heading", level=2)).to_contain_text("candidate 2")
    expect(page).to_have_url(re.compile("prices(@|%40)2"))
    assert grave_violations(page) == []
    modal.get_by_role("link", name="Compare changes").click()
    compare(page)
    page.go_back()
    modal.get_by_role("button", name="Choose candidate 2").click()
    expect(modal.locator('[data-candidate="2"]')).to_contain_text("Chosen")
    runs.wait_for_run(run, "succeeded")
    expect(modal.get_by_role("button", name="Choose candidate 1")).to_have_count(0)
    assert runs.get(f"{task}@1/attempts/1")["state"] == "not_chosen"
    assert runs.get(f"{task}/attempts/1")["takes_over"] == f"{task}@2/attempts/1"
