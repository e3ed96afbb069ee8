"""Open pages whose servers restart: nothing is lost or duplicated, and no manual reload is needed."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.waits import wait_until

RUNNING = "epics/search/tasks/ranking/attempts/1"

# The browser itself logs this when the server of an open page ends.
LOST = r"ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket|503 "


# Reads the log from start to end, view by view, because only visible rows are in the document.
SWEEP = """async () => {
  const box = document.querySelector(".rows-box");
  const frame = () => new Promise(requestAnimationFrame);
  const edges = (selector) => document.querySelector(selector).getBoundingClientRect();
  const isDrawn = () => {
    const [seen, all, drawn] = [edges(".rows-box"), edges(".rows-space"), edges(".rows-window")];
    return drawn.top <= Math.max(seen.top, all.top) + 1 && drawn.bottom >= Math.min(seen.bottom, all.bottom) - 1;
  };
  const views = [];
  for (box.scrollTop = 0; ; box.scrollTop += box.clientHeight - 150) {
    do await frame(); while (!isDrawn());
    views.push([...document.querySelectorAll(".log-row .log-text")].map((it) => it.innerText));
    if (box.scrollTop >= box.scrollHeight - box.clientHeight - 1) return views;
  }
}"""

NEWEST = "Math.max(...[...document.querySelectorAll('.log-row .log-text')].map((it) => Number(/^line (\\d+)$/.exec(it.innerText)?.[1] ?? 0)))"

# Whether the lines of a card have reached a number.
SAID = """([attempt, number]) => {
  const lines = document.querySelector(`.card:has([data-attempt$="${attempt}"]) .card-lines`);
  return [...(lines?.textContent ?? "").matchAll(/line (\\d+)/g)].some((each) => each[1] >= number);
}"""


def assert_whole(page: Page) -> int:
    """Asserts that no line that the agent's commands printed is lost or duplicated; returns the newest."""
    # Earlier lines are fetched after the newest ones.
    expect(page.locator(".logs-tools").get_by_text(re.compile(r"^[\d,]+ lines$"))).to_be_visible(
        timeout=40_000
    )
    newest = 0
    for view in page.evaluate(SWEEP):
        seen = [int(match[1]) for match in (re.fullmatch(r"line (\d+)", text) for text in view) if match]
        if seen:
            assert seen == list(range(seen[0], seen[-1] + 1))
            assert seen[0] <= newest + 1
            newest = max(newest, seen[-1])
    return newest


def wait_for_line(page: Page, number: int) -> None:
    """Returns once this line or a later one, at the end of the log, is visible."""
    wait_until(page, f"{NEWEST} >= {number}", seconds=40)


@pytest.mark.complains(LOST)
def test_the_modal_is_back_after_the_web_app_restarts(page: Page, servers: Servers, busy: str) -> None:
    """A banner reports the lost connection; then the same session and tab continue to stream."""
    page.goto(f"/{busy}/{RUNNING}?tab=logs")
    expect(page.locator(".log-row").first).to_be_visible()
    newest = assert_whole(page)
    servers.end("ui", kill=True)
    banner = page.get_by_role("status").filter(has_text="Reconnecting to the web app…")
    # It does not know whether agents work: Heddle may have been stopped.
    expect(banner).to_contain_text("This page shows the state of")
    expect(banner).not_to_contain_text("gents")
    servers.begin("ui")
    expect(page.get_by_text("Reconnecting to the web app…")).to_have_count(0, timeout=40_000)
    expect(page.get_by_role("tab", selected=True)).to_have_text("Logs", timeout=40_000)
    wait_for_line(page, newest + 4)
    assert_whole(page)


@pytest.mark.complains(LOST)
def test_the_board_stays_while_the_scheduler_is_away(page: Page, servers: Servers, busy: str) -> None:
    """The board keeps its content under a banner, and continues when the scheduler is back."""
    page.goto(f"/{busy}/{RUNNING}?tab=logs")
    expect(page.locator(".log-row").first).to_be_visible()
    newest = assert_whole(page)
    servers.end("scheduler", kill=True)
    expect(page.locator(".banner")).to_contain_text("The scheduler does not answer")
    expect(page.locator(".lane")).to_have_count(4)
    servers.begin("scheduler")
    expect(page.locator(".banner")).to_have_count(0, timeout=40_000)
    wait_for_line(page, newest + 4)
    assert_whole(page)


@pytest.mark.complains(LOST)
def test_a_change_while_the_scheduler_is_away_is_refused_in_words(
    page: Page, servers: Servers, busy: str, runs: Runs
) -> None:
    """A click that fails shows an error; the session continues."""
    page.goto(f"/{busy}")
    card = page.locator(".card", has=page.locator(f'[data-attempt$="{RUNNING}"]'))
    expect(card).to_be_visible()
    servers.end("scheduler")
    card.get_by_role("button", name="Stop", exact=True).click()
    card.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Nothing was changed", timeout=15_000)
    servers.begin("scheduler")
    runs.wait_for(f"{busy}/{RUNNING}", "running")


@pytest.mark.timeout(300)  # it opens four pages
@pytest.mark.complains(LOST)
def test_every_open_page_is_right_after_both_have_restarted(
    page: Page, servers: Servers, busy: str, runs: Runs
) -> None:
    """List, board, timeline and an open session recover automatically, and show later changes."""
    board, listed, timeline, session = page, *(page.context.new_page() for _ in range(3))
    listed.goto("/")
    board.goto(f"/{busy}")
    timeline.goto(f"/{busy}/timeline")
    session.goto(f"/{busy}/{RUNNING}?tab=logs")
    row = listed.locator(".run-row", has=listed.locator(f'a[href$="{busy}"]'))
    lines = board.locator(".card", has=board.locator(f'[data-attempt$="{RUNNING}"]')).locator(".card-lines")
    expect(row.locator(".run-state")).to_contain_text("1 waiting for you")
    expect(lines).to_contain_text("line ")
    expect(timeline.locator(".bar.is-live").first).to_be_visible()
    expect(session.locator(".log-row").first).to_be_visible()
    newest = assert_whole(session)

    servers.end("ui", "scheduler", kill=True)
    for each in (board, listed, timeline, session):
        expect(each.locator(".banner")).to_contain_text("Reconnecting")
    servers.begin("scheduler", "ui")
    for each in (board, listed, timeline, session):
        expect(each.locator(".banner")).to_have_count(0, timeout=40_000)

    wait_for_line(session, newest + 4)
    assert_whole(session)
    expect(board.locator(".lane h3")).to_have_text(["Database", "Payments", "Search service", "Frontend UI"])
    # The agent may have printed many more lines by now.
    wait_until(board, SAID, [RUNNING, newest + 4])
    expect(row.locator(".run-state")).to_contain_text("1 waiting for you")
    expect(timeline.locator(f'.bar.is-live[data-attempt$="{RUNNING}"]')).to_be_visible()
    runs.post(f"{busy}:pause")
    for status in (
        board.locator(".run-line .status"),
        timeline.locator(".run-line .status"),
        row.locator(".run-state .status").first,
    ):
        expect(status).to_have_text("Paused")
    runs.post(f"{busy}:resume")
    for status in (
        board.locator(".run-line .status"),
        timeline.locator(".run-line .status"),
        row.locator(".run-state .status").first,
    ):
        expect(status).to_have_text("Running")
    for each in (listed, timeline, session):
        each.close()
