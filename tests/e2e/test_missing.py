"""Addresses of missing resources: each page says what is missing and links to what exists."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_accessibility import grave_violations


def test_a_task_that_is_not_in_the_run(page: Page, busy: str) -> None:
    """The message is over the board; Esc leads to the board, and no request failed."""
    page.goto(f"/{busy}/epics/search/tasks/nothing/attempts/1")
    missing = page.get_by_role("dialog", name="Task not found")
    expect(missing).to_contain_text("epics/search/tasks/nothing/attempts/1")
    assert grave_violations(page) == []
    page.keyboard.press("Escape")
    expect(missing).to_have_count(0)
    assert page.url.endswith(busy)
    expect(page.locator(".lane").first).to_be_visible()


@pytest.mark.parametrize("number", ["9", "0", "first"])
def test_an_attempt_that_was_not_made(page: Page, busy: str, number: str) -> None:
    """The page says how many attempts exist, and opens the newest."""
    page.goto(f"/{busy}/epics/search/tasks/index/attempts/{number}")
    missing = page.get_by_role("dialog", name="Attempt not found")
    expect(missing).to_contain_text("had 1 attempt so far")
    missing.get_by_role("button", name="Open the newest attempt").click()
    expect(page.get_by_role("dialog", name=re.compile("Index documents"))).to_be_visible()
    assert page.url.endswith("/epics/search/tasks/index/attempts/1")


def test_a_task_opens_its_newest_attempt(page: Page, busy: str) -> None:
    """The address of a task opens its newest attempt, or says that the task has not started."""
    page.goto(f"/{busy}/epics/search/tasks/index")
    expect(page.get_by_role("dialog", name=re.compile("Index documents"))).to_be_visible()
    page.goto(f"/{busy}/epics/frontend/tasks/dark")
    expect(page.get_by_role("dialog", name="“Dark mode” has not started yet")).to_be_visible()


def test_a_session_of_a_run_that_is_not_there(page: Page) -> None:
    """The page says that the run is missing, and links to the existing runs."""
    page.goto("/runs/no-such-run/epics/a/tasks/b/attempts/1")
    expect(page.get_by_text("Run not found")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.complains("404 ")
def test_an_address_that_leads_nowhere(page: Page) -> None:
    """An unknown address is answered with 404 and a Heddle page that links to the runs."""
    answer = page.goto("/nothing/at/all")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("link", name="See all runs")).to_be_visible()
    assert grave_violations(page) == []
    page.get_by_role("link", name="See all runs").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
