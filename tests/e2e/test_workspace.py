"""Where a session works, and how its epic continues."""

import re

from playwright.sync_api import Page, expect


def test_the_workspace_of_a_session_is_copied_and_opened(page: Page, deep: str) -> None:
    """Worktree, branch, commit and agent are shown and copied; the worktree opens in an editor."""
    page.goto(f"/{deep}/epics/search/tasks/ranking/attempts/1")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Workspace").click()
    facts = page.get_by_role("group", name="Workspace")
    expect(facts).to_contain_text(re.compile(r"Worktree.*Branch.*Commit.*Agent.*Model", re.DOTALL))
    path = facts.locator("dd code").first.inner_text()
    facts.get_by_role("button", name="Copy the command cd to the worktree").click()
    expect(page.get_by_text(f"Copied: cd {path}")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == f"cd {path}"
    expect(facts.get_by_role("link", name="VS Code")).to_have_attribute("href", f"vscode://file{path}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_ended_session_leads_to_the_next_of_its_epic(page: Page, deep: str) -> None:
    """Once a task has ended, its session offers that of the task with which the epic continues."""
    page.goto(f"/{deep}/epics/search/tasks/index/attempts/2")
    dialog = page.locator("dialog.session")
    dialog.get_by_role("button", name="Decay as a setting").click()
    expect(dialog.locator("h2")).to_contain_text("Decay as a setting")
    expect(page).to_have_url(re.compile("tasks/decay/attempts/1"))
    expect(dialog.locator(".approval")).to_be_visible()
