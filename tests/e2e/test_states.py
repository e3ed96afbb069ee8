"""States have an icon and a word, are the same in every view, and a page's own states look different."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.plans import SMALL
from tests.e2e.runs import Runs


def test_a_state_is_an_icon_and_a_word_and_not_a_colour_alone(page: Page, busy: str) -> None:
    """List, board, conflicts, session and timeline show icon and word; no two tones share an icon."""
    icons: dict[str, set[str]] = {}
    for path in (
        "/",
        f"/{busy}",
        f"/{busy}/conflicts",
        f"/{busy}/epics/search/tasks/index/attempts/1?tab=history",
    ):
        page.goto(path)
        expect(page.locator(".status").first).to_be_visible()
        if "history" in path:
            expect(page.locator(".history-task .status").first).to_be_visible()
        for tone, icon, word in page.locator(".status").evaluate_all(
            "all => all.map(it => [it.className, it.querySelector('svg')?.classList[1] ?? '', it.innerText.trim()])"
        ):
            assert icon, f"{word} has no icon"
            assert re.search("[A-Za-z]", word), f"{icon} has no word"
            found = re.search(r"tone-(\w+)", tone)
            assert found, f"{word} has no color"
            icons.setdefault(icon, set()).add(found[1])
    assert len(icons) >= 4, icons
    assert {icon: tones for icon, tones in icons.items() if len(tones) > 1} == {}
    page.goto(f"/{busy}/timeline")
    expect(page.locator(".bar").first).to_be_visible()
    words = page.locator(".bar").evaluate_all("all => all.map(it => it.getAttribute('aria-label'))")
    assert all(re.search("Running|Waiting for you|Done|Failed|Merg|Checking", word) for word in words), words


def test_list_board_and_session_agree(page: Page, runs: Runs) -> None:
    """Three pages show the same state of one run: waiting, running, paused and ended."""
    name = runs.start(SMALL)
    attempt = f"{name}/epics/beta/tasks/one/attempts/1"
    runs.wait_for(attempt, "waiting")
    board, session = page, page.context.new_page()
    listed = page.context.new_page()
    board.goto(f"/{name}")
    session.goto(f"/{attempt}")
    listed.goto("/")
    row = listed.locator(".run-row", has=listed.locator(f'a[href$="{name}"]'))
    card = board.locator(".card", has=board.locator(f'[data-attempt="{attempt}"]'))
    state = session.locator(".modal-facts .status")
    head = session.locator(".run-line .status")
    expect(row.locator(".run-state")).to_contain_text("1 waiting for you")
    expect(card.locator(".card-now")).to_contain_text("Waiting for you")
    expect(state).to_have_text("Waiting for you")

    session.locator("dialog.session").get_by_role("button", name="Allow").click()
    expect(state).to_have_text("Running")
    expect(card.locator(".card-now")).to_contain_text("Running")
    expect(row.locator(".run-state")).not_to_contain_text("waiting")

    board.get_by_role("button", name="Pause").click()
    for status in (board.locator(".run-line .status"), head, row.locator(".run-state .status")):
        expect(status).to_have_text("Paused")

    runs.cancel(name)
    for status in (board.locator(".run-line .status"), head, row.locator(".run-state .status")):
        expect(status).to_have_text("Cancelled")
    expect(state).to_have_text("Stopped")
    # Ended work is shown as a row instead of a card.
    expect(board.locator(".lane", has=board.locator(f'[data-attempt="{attempt}"]'))).to_contain_text(
        "Cancelled"
    )
    session.close()
    listed.close()


@pytest.mark.complains("503 ")
def test_empty_loading_failed_and_old_pages_look_different(page: Page, runs: Runs, busy: str) -> None:
    """Each state is announced and says what to do next; outdated content stays readable."""
    held: list[Route] = []
    # None: the web app itself answers.
    answer: dict[str, Any] | None = {}

    def play(route: Route) -> None:
        if answer is None:
            route.continue_()
        elif answer:
            route.fulfill(**answer)
        else:
            held.append(route)

    page.route("**/api/costs?*", play)
    page.goto("/costs")
    loading = page.get_by_role("status", name="Loading the costs")
    expect(loading.locator(".skeleton").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)

    answer = {"status": 503, "json": {"message": "The scheduler does not answer."}}
    held[0].fulfill(**answer)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("The scheduler does not answer.")
    expect(loading).to_have_count(0)
    expect(page.locator(".empty")).to_have_count(0)

    nothing = {"cost": 0, "input": 0, "output": 0, "cache_read": 0, "cache_write": 0, "models": []}
    answer = {"json": {"total": {"usage": nothing, "budget": None}, "costs": [], "next": ""}}
    page.reload()
    expect(page.locator(".empty")).to_contain_text("Nothing has run yet")
    expect(page.get_by_role("alert")).to_have_count(0)

    answer = None
    page.reload()
    expect(page.locator(".cost-table tbody tr").first).to_be_visible()
    answer = {"status": 503, "json": {"message": "The scheduler does not answer."}}
    # As soon as a run changes, the costs are read again.
    runs.post(f"{busy}:set", max_parallel=9)
    expect(alert).to_have_text("This page may be out of date. The scheduler does not answer.")
    expect(page.locator(".cost-table tbody tr").first).to_be_visible()
