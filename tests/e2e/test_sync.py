"""Epics that are behind the project's branch take it in at a click, and a conflict is decided where it is shown."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.support.repositories import fast_import, make_repository

# The first task of each epic works until its file exists.
WAITING = """
name: Behind
defaults:
  agent: "command:until git show main:$HEDDLE_EPIC.go; do sleep 0.1; done; echo $HEDDLE_TASK > app.py"
epics:
  - key: api
    title: Backend
    tasks:
      - {key: one, title: Write it, prompt: Do it.}
      - {key: two, title: Write more, prompt: Do it.}
  - key: web
    title: Frontend
    tasks:
      - {key: one, title: Draw it, prompt: Do it.}
      - {key: two, title: Draw more, prompt: Do it.}
"""


def test_an_epic_takes_in_the_branch_at_a_click(page: Page, runs: Runs, tmp_path: Path) -> None:
    """Only what is behind has a button; a conflict is shown on the card and among what waits, and can be left."""
    repository = make_repository(tmp_path / "shop", {"app.py": "print('shop')\n"})
    name = Runs(runs._url, runs._token, repository).start(WAITING)
    for epic in ("api", "web"):
        runs.wait_for(f"{name}/epics/{epic}/tasks/one/attempts/1", "running")
    page.goto(f"/{name}")
    api, web = (page.locator(f'[data-epic="{key}"]') for key in ("api", "web"))
    expect(api).to_be_visible()
    expect(page.get_by_text("new commit")).to_have_count(0)
    fast_import(repository, "main", {"app.py": "print('theirs')\n"}, "main")
    take_in = "Take in 1 new commit of main"
    expect(page.locator(".run-behind")).to_have_text(re.compile("main has new commits; 2 epics lack them"))
    api.get_by_role("button", name=take_in).click()
    expect(api.get_by_text("Takes in main before its next task")).to_be_visible()
    expect(api.get_by_role("button", name=take_in)).to_have_count(0)
    expect(page.locator(".run-behind")).to_have_text(re.compile("1 epic lacks them"))
    page.locator(".run-behind").get_by_role("button", name="Take them in").click()
    expect(web.get_by_text("Takes in main before its next task")).to_be_visible()
    expect(page.locator(".run-behind")).to_have_count(0)
    fast_import(repository, "main", {"api.go": ""}, "main")
    expect(api.locator(".lane-note.is-bad")).to_have_text(re.compile("main conflicts in app.py"))
    page.keyboard.press("a")
    item = page.locator(".attention-item", has_text="Conflicts with your branch").filter(has_text="Behind")
    expect(item).to_be_visible()
    page.keyboard.press("Escape")
    api.get_by_role("button", name="Continue without main").click()
    runs.wait_for(f"{name}/epics/api/tasks/two/attempts/2", "accepted")
    runs.cancel(name)
