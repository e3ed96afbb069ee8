"""Pages that outlive their servers: nothing is lost, nothing is doubled, nobody reloads by hand."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers

RUNNING = "epics/search/tasks/ranking/attempts/1"

# The browser itself says so when a server goes away under an open page.
LOST = r"ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket|503 "


def numbers(page: Page) -> list[int]:
    """Returns the numbers of the lines that the agent's commands printed, as the log shows them."""
    texts = page.locator(".log-row .log-text").all_inner_texts()
    return [int(match[1]) for match in (re.fullmatch(r"line (\d+)", text) for text in texts) if match]


def assert_whole(page: Page) -> int:
    """Asserts that the visible lines are neither lost nor doubled; returns the newest."""
    seen = numbers(page)
    assert seen == list(range(seen[0], seen[-1] + 1))
    return seen[-1]


def wait_for_line(page: Page, number: int) -> None:
    expect(page.locator(".log-row .log-text").get_by_text(f"line {number}", exact=True)).to_be_visible(
        timeout=20_000
    )


@pytest.mark.complains(LOST)
def test_the_modal_is_back_after_the_web_app_restarts(page: Page, servers: Servers, busy: str) -> None:
    """A banner tells of the lost connection; then the same session and tab stream on."""
    page.goto(f"/{busy}/{RUNNING}?tab=logs")
    expect(page.locator(".log-row").first).to_be_visible()
    newest = assert_whole(page)
    servers.end("ui", kill=True)
    expect(page.get_by_text("Reconnecting to the web app…")).to_be_attached()
    servers.begin("ui")
    expect(page.get_by_text("Reconnecting to the web app…")).to_have_count(0, timeout=20_000)
    expect(page.get_by_role("tab", selected=True)).to_have_text("Logs", timeout=20_000)
    wait_for_line(page, newest + 4)
    assert_whole(page)


@pytest.mark.complains(LOST)
def test_the_board_stays_while_the_scheduler_is_away(page: Page, servers: Servers, busy: str) -> None:
    """The board keeps what it knows under a banner, and goes on when the scheduler is back."""
    page.goto(f"/{busy}/{RUNNING}?tab=logs")
    expect(page.locator(".log-row").first).to_be_visible()
    newest = assert_whole(page)
    servers.end("scheduler", kill=True)
    expect(page.locator(".banner")).to_contain_text("The scheduler does not answer")
    expect(page.locator(".lane")).to_have_count(4)
    servers.begin("scheduler")
    expect(page.locator(".banner")).to_have_count(0, timeout=20_000)
    wait_for_line(page, newest + 4)
    assert_whole(page)


@pytest.mark.complains(LOST)
def test_a_change_while_the_scheduler_is_away_is_refused_in_words(
    page: Page, servers: Servers, busy: str, runs: Runs
) -> None:
    """A click that cannot be carried out says so; the session goes on."""
    page.goto(f"/{busy}")
    card = page.locator(".card", has=page.locator(f'[data-attempt$="{RUNNING}"]'))
    expect(card).to_be_visible()
    servers.end("scheduler")
    card.get_by_role("button", name="Stop", exact=True).click()
    card.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Nothing was changed", timeout=15_000)
    servers.begin("scheduler")
    runs.wait_for(f"{busy}/{RUNNING}", "running")
