"""The log of a session, read page by page from the newest."""

import re
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.test_session import DONE, open_session


def test_a_chosen_line_stays_chosen_when_its_beginning_is_read(page: Page, busy: str) -> None:
    """A line split over two pages is joined once both are loaded; if its end was selected, all of it is."""
    pages: list[dict[str, Any]] = []
    ends: list[str] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        if "before=" in route.request.url:
            held.append(route)
            return
        response = route.fetch()
        newest = response.json()
        events = newest["events"]
        where = max(at for at in range(1, len(events)) if _goes_on(events[at - 1], events[at]))
        # As if the agent had printed half of a line.
        events[where - 1]["text"] = events[where - 1]["text"].removesuffix("\n")
        ends.append(events[where]["text"].partition("\n")[0])
        pages.append({**newest, "events": events[:where], "more": False})
        route.fulfill(response=response, json={**newest, "events": events[where:], "more": True})

    page.route(re.compile(r"/attempts/1/events(\?|$)"), answer)
    dialog = open_session(page, busy, DONE, "logs")
    expect(dialog.get_by_text("The needle is found.")).to_be_visible()
    dialog.locator(".rows-box").evaluate("it => it.scrollTo(0, 0)")
    dialog.locator(".log-row", has_text=ends[0]).click()
    expect(page).to_have_url(re.compile("#L"))
    chosen = page.url
    held[0].fulfill(json=pages[0])
    picked = dialog.locator(".log-row.is-picked")
    expect(page).not_to_have_url(chosen)
    expect(picked).to_have_count(1)
    whole = picked.locator(".log-text").inner_text()
    assert whole.endswith(ends[0])
    assert whole != ends[0]


def _goes_on(event: dict[str, Any], following: dict[str, Any]) -> bool:
    """Returns whether both events are successive output of one command."""
    both = [{**each, "text": "", "sequence": 0, "time": 0} for each in (event, following)]
    return event["type"] == "output" and both[0] == both[1]
