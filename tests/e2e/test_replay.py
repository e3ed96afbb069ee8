"""Replay: a session and a run as they were at an earlier time."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

RANKING = "epics/search/tasks/ranking/attempts/1"


def bar(page: Page) -> Locator:
    return page.get_by_role("group", name="Replay")


def test_a_session_is_shown_as_it_was(page: Page, deep: str) -> None:
    """All six tabs show the chosen time, which is in the address; a replay has no controls of the session."""
    page.goto(f"/{deep}/{RANKING}")
    dialog = page.locator("dialog.session")
    expect(dialog.get_by_text("The ranking is written.")).to_be_visible()
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_text("The ranking is written.")).to_have_count(0)
    expect(dialog.locator(".modal-facts .status")).to_have_text("Running")
    expect(page).to_have_url(re.compile(r"[?&]at=\d+"))
    slider = bar(page).get_by_label("Time")
    for tab, seen in (
        ("history", re.compile("Running.*Ranking by recency", re.DOTALL)),
        ("screenshots", "No screenshots yet"),
        ("quality", "The change is shown once it is committed."),
        ("costs", re.compile("This session.*\u2013", re.DOTALL)),
    ):
        dialog.locator(f"#tab-{tab}").click()
        expect(dialog.get_by_role("tabpanel")).to_contain_text(seen)
    dialog.locator("#tab-logs").click()
    expect(dialog.locator(".log-row", has_text="rank.py")).to_have_count(0)
    page.reload()
    expect(dialog.locator(".log-row", has_text="rank.py")).to_have_count(0)
    slider.press("End")
    expect(dialog.locator(".log-row", has_text="rank.py").first).to_be_visible()
    dialog.locator("#tab-quality").click()
    expect(dialog.get_by_role("tabpanel")).to_contain_text("accepted")
    bar(page).get_by_role("button", name="End replay").click()
    expect(bar(page)).to_have_count(0)
    expect(page).not_to_have_url(re.compile("at="))


def test_a_run_is_replayed_on_its_board(page: Page, deep: str) -> None:
    """The board moves from mark to mark and back to the present, where questions can be answered again."""
    page.goto(f"/{deep}")
    card = page.locator(".card")
    expect(card).to_contain_text("Decay as a setting")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".run-progress")).to_contain_text(re.compile("0 of 3 tasks"))
    expect(page.locator(".run-line")).to_contain_text(re.compile(r"Replay, \d\d:\d\d:\d\d"))
    for live in (".approval", ".run-controls", ".eta", ".card-stop"):
        expect(page.locator(live)).to_have_count(0)
    expect(card).not_to_contain_text("No output yet")
    # Tabs that show only the present are not part of it.
    expect(page.get_by_role("link", name="Timeline")).to_have_attribute("href", re.compile("at="))
    expect(page.get_by_role("link", name="Report")).not_to_have_attribute("href", re.compile("at="))
    for title in ("Index documents", "Index documents", "Ranking by recency"):
        bar(page).get_by_role("button", name="Next event").click()
        expect(card).to_contain_text(title)
    # Clocks show the moment: the question was asked just then.
    bar(page).get_by_role("button", name="Next event").click()
    expect(card.locator(".card-now")).to_contain_text(
        re.compile(r"Waiting for you.*0:00.*May I drop", re.DOTALL)
    )
    expect(card.locator(".card-stop")).to_have_count(0)
    bar(page).get_by_label("Time").press("Home")
    bar(page).get_by_label("Speed").select_option("500")
    bar(page).get_by_role("button", name="Play").click()
    expect(card).to_contain_text("Decay as a setting")
    bar(page).get_by_role("button", name="Back to now").click()
    expect(page.locator(".approval")).to_be_visible()
    expect(page.locator(".run-controls").get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_toast_leaves_the_way_back_to_now_free(page: Page, deep: str, busy: str, width: int) -> None:
    """A message about an action is above the bar of the replay."""
    page.set_viewport_size({"width": width, "height": 844})
    page.route("**:retry", lambda route: route.fulfill(json={}))
    page.goto(f"/{deep}")
    page.get_by_role("button", name="Replay").click()
    expect(bar(page)).to_be_visible()
    page.keyboard.press("a")
    page.locator(f'.attention-item[data-key^="{busy}/epics/payments"]').get_by_role(
        "button", name="Retry"
    ).click()
    toast = page.locator(".toast")
    expect(toast).to_have_text(re.compile("Refund flow gets another attempt"))
    over, under = toast.bounding_box(), bar(page).bounding_box()
    assert over is not None
    assert under is not None
    assert over["y"] + over["height"] <= under["y"]


def test_the_timeline_opens_a_session_at_the_moment_of_the_click(page: Page, deep: str) -> None:
    """A click at the start of a bar shows the session before any output; closing leads to the live timeline."""
    page.goto(f"/{deep}/timeline")
    ended = page.locator(f'.bar[data-attempt$="{RANKING}"]')
    expect(ended).to_be_visible()
    ended.click(position={"x": 4, "y": 14})
    dialog = page.locator("dialog.session")
    expect(bar(page)).to_be_visible()
    expect(dialog.locator(".modal-facts .status")).to_have_text("Running")
    expect(dialog.get_by_text("The ranking is written.")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/timeline$"))
    expect(bar(page)).to_have_count(0)


def test_a_parked_session_is_seen_to_wait(page: Page, deep: str) -> None:
    """While a session is parked, the timeline shows the wait, and its task waits in a replay."""
    asking = f"{deep}/epics/search/tasks/decay/attempts/1"

    def park(route: Route) -> None:
        news = route.fetch().json()
        asked = next((turn for turn in news["turns"] if turn["type"] == "approval_requested"), None)
        if asked:
            news["turns"].append(asked | {"type": "task_waiting", "parked": True, "sequence": news["last"]})
        route.fulfill(json=news)

    page.route("**/turns*", park)
    page.goto(f"/{deep}/timeline")
    wait = page.locator(".bar.is-wait")
    expect(wait).to_have_attribute("aria-label", re.compile("Decay as a setting, .*Waiting for you"))
    expect(wait).to_have_class(re.compile("is-live"))
    expect(wait).to_have_attribute("href", f"/{asking}")
    page.get_by_role("link", name="Board").click()
    page.get_by_role("button", name="Replay").click()
    bar(page).get_by_label("Time").press("End")
    expect(page.locator(".lane.group-waiting")).to_contain_text(
        re.compile("Decay as a setting.*Paused for your answer", re.DOTALL)
    )
