"""The command palette: find everything by name, without a mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_accessibility import grave_violations


def test_ctrl_k_leads_from_the_list_to_a_run_and_its_sessions(page: Page, busy: str) -> None:
    """Words in any order find a run, then its session, then a view; Esc changes nothing."""
    page.goto("/")
    expect(page.locator(".run-row").first).to_be_visible()
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Command, run or session")
    expect(field).to_be_focused()
    field.fill(busy.removeprefix("runs/"))
    expect(page.locator(".palette").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{busy}")
    expect(page.locator(".lane").first).to_be_visible()
    page.keyboard.press("Control+k")
    field.fill("search recency")
    expect(page.locator(".palette").get_by_role("option", selected=True)).to_contain_text(
        "Ranking by recency"
    )
    page.keyboard.press("Enter")
    session = page.get_by_role("dialog", name=re.compile("Ranking by recency"))
    expect(session).to_be_visible()
    page.get_by_label("Instructions to the agent").press("Control+k")
    field.fill("time")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/timeline$"))
    expect(session).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(field).to_be_visible()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(page).to_have_url(re.compile("/timeline$"))


def test_arrows_choose_a_command_and_enter_does_it(page: Page) -> None:
    """The palette switches the theme and opens the new-run form, as their buttons do."""
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Commands").click()
    field = page.locator(".palette").get_by_role("combobox")
    first = page.locator(".palette").get_by_role("option", selected=True).inner_text()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".palette").get_by_role("option", selected=True)).not_to_have_text(first)
    field.fill("dark")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("Control+k")
    field.fill("new run")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    page.keyboard.press("Control+k")
    field.fill("costs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Costs")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_palette_is_accessible(page: Page, busy: str, scheme: str) -> None:
    """Axe finds no serious violation with the palette's list open over a board."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.goto(f"/{busy}")
    expect(page.locator(".lane").first).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.locator(".palette").get_by_role("option").nth(3)).to_be_visible()
    assert grave_violations(page) == []
