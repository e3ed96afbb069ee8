"""The changes of a run, shown as text."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers

NAME = "page <b>é</b>.html"

WRITING = f"""
name: Writing
epics:
  - key: alpha
    title: Alpha
    tasks:
      - key: one
        title: First page
        prompt: p
        script:
          - write: {{path: app.py, text: "print('the new shop')\\n"}}
          - write: {{path: "{NAME}", text: "<script>window.pwned=1</script>\\n"}}
          - run: "seq 1 900 > long.txt"
      - key: two
        title: Second page
        prompt: p
        script:
          - write: {{path: second.txt, text: "two\\n"}}
          - ask: Go on?
"""

ENDED = """
name: Ended
epics:
  - key: alpha
    title: Alpha
    tasks:
      - {key: one, prompt: p, script: [{write: {path: app.py, text: "print('the new shop')\\n"}}]}
"""


def test_changes_of_run_epic_and_task(page: Page, runs: Runs) -> None:
    """The address contains the chosen scope; file content is not executed; long files are folded."""
    name = runs.start(WRITING)
    runs.wait_for(f"{name}/epics/alpha/tasks/one/attempts/1", "accepted")
    runs.wait_for(f"{name}/epics/alpha/tasks/two/attempts/1", "waiting")
    page.goto(f"/{name}")
    page.get_by_role("link", name="Changes").click()
    expect(page.get_by_text("No changes yet")).to_be_visible()
    scope = page.get_by_label("Changes of")
    scope.select_option("Alpha (all tasks)")
    expect(page).to_have_url(re.compile(r"/changes\?of=epics/alpha$"))
    files = page.locator(".changes-files li")
    expect(files).to_have_count(3)
    expect(files.get_by_text(NAME)).to_be_visible()
    page.reload()
    expect(files).to_have_count(3)
    old_new = page.locator('[data-file="app.py"]')
    expect(old_new.locator(".diff-add mark")).to_have_text("the new ")
    # Nothing of the old line was removed.
    expect(old_new.locator(".diff-del mark")).to_have_count(0)
    # Code is coloured, also where it is marked.
    expect(old_new.locator(".diff-add mark .hl-string")).to_have_text("the new ")
    expect(page.get_by_text("<script>window.pwned=1</script>")).to_be_visible()
    assert page.evaluate("window.pwned") is None
    long = page.locator('[data-file="long.txt"]')
    expect(long).to_contain_text("large, folded")
    expect(long.locator("tr")).to_have_count(0)
    files.get_by_text("long.txt").click()
    expect(long.locator("tr")).to_have_count(901)
    expect(long).to_be_in_viewport()
    scope.select_option(f"{name}/epics/alpha/tasks/one/attempts/1")
    expect(page).to_have_url(re.compile(r"of=epics/alpha/tasks/one/attempts/1$"))
    expect(files).to_have_count(3)
    asked = runs.get(f"{name}/epics/alpha/tasks/two/attempts/1")["summary"]["waiting"]["id"]
    scope.select_option("Whole run (merged changes)")
    expect(page.get_by_text("No changes yet")).to_be_visible()
    runs.post(f"{name}/epics/alpha/tasks/two/attempts/1:resolve", approval_id=asked, approved=True)
    expect(files).to_have_count(4)


def test_side_by_side_is_remembered_and_needs_room(page: Page, busy: str) -> None:
    """Removed lines are shown next to added ones; a narrow window has one column; the choice is remembered."""
    page.goto(f"/{busy}/changes?of=epics/search")
    expect(page.locator(".diff-unified").first).to_be_visible()
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".diff-split").first).to_be_visible()
    page.reload()
    expect(page.locator(".diff-split").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".diff-unified").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_growing_change_is_offered_not_pushed(page: Page, runs: Runs) -> None:
    """A page with a change shows that newer changes exist, and loads them on request."""
    name = runs.start(WRITING)
    runs.wait_for(f"{name}/epics/alpha/tasks/one/attempts/1", "accepted")
    runs.wait_for(f"{name}/epics/alpha/tasks/two/attempts/1", "waiting")
    page.goto(f"/{name}/changes?of=epics/alpha")
    files = page.locator(".changes-files li")
    expect(files).to_have_count(3)
    asked = runs.get(f"{name}/epics/alpha/tasks/two/attempts/1")["summary"]["waiting"]["id"]
    runs.post(f"{name}/epics/alpha/tasks/two/attempts/1:resolve", approval_id=asked, approved=True)
    expect(page.get_by_text("Newer changes are available.")).to_be_visible()
    expect(files).to_have_count(3)
    page.get_by_role("button", name="Reload").click()
    expect(files).to_have_count(4)


def test_comments_on_lines_become_a_task(page: Page, runs: Runs) -> None:
    """Comments survive a reload, appear below their lines, and reach the agent with file, line and text."""
    name = runs.start(ENDED)
    runs.wait_for(f"{name}/epics/alpha/tasks/one/attempts/1", "accepted")
    page.goto(f"/{name}/changes?of=epics/alpha")
    file = page.locator(".diff-file", has_text="app.py")
    field = page.get_by_label("Comment on this line")
    file.locator("tr.diff-add").first.hover()
    file.get_by_role("button", name="Comment on line 1", exact=True).first.click()
    field.fill("Never mind.")
    field.press("Escape")
    expect(field).to_have_count(0)
    file.locator(".line-comment").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    field.fill("Say <b>hello</b> instead.")
    field.press("Control+Enter")
    expect(page.locator(".note-shown")).to_contain_text("Say <b>hello</b> instead.")
    page.reload()
    expect(page.locator(".note-row")).to_contain_text("Say <b>hello</b> instead.")
    sending = page.get_by_role("form", name="Send comments")
    expect(sending).to_contain_text("1 comment")
    sending.get_by_role("button", name="Send as a task").click()
    expect(page.locator(".toast")).to_contain_text("is task 2 of its epic")
    expect(page.locator(".note-row")).to_have_count(0)
    runs.wait_for(f"{name}/epics/alpha/tasks/review-1-comment/attempts/1", "accepted")
    tasks = runs.get(f"{name}/epics/alpha/tasks")["tasks"]
    told = tasks[1]["prompt"]
    assert "app.py, line " in told
    assert "    print('the new shop')" in told
    assert "Say <b>hello</b> instead." in told


def test_comments_are_found_by_touch_and_key_and_discarded(
    page: Page, browser: Browser, servers: Servers, runs: Runs
) -> None:
    """A finger finds the button of a line, Tab and arrows reach it, and *Discard* asks before all comments are gone."""
    name = runs.start(ENDED)
    runs.wait_for(f"{name}/epics/alpha/tasks/one/attempts/1", "accepted")
    phone = browser.new_context(
        base_url=servers.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    phone.add_cookies([servers.cookie])
    touched = phone.new_page()
    touched.goto(f"/{name}/changes?of=epics/alpha")
    button = touched.locator(".line-comment").first
    expect(button).to_be_visible()
    look = button.evaluate("it => [Number(getComputedStyle(it).opacity), it.offsetWidth]")
    assert look[0] >= 0.7
    assert look[1] >= 24
    button.tap()
    expect(touched.get_by_label("Comment on this line")).to_be_visible()
    assert touched.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()

    page.goto(f"/{name}/changes?of=epics/alpha")
    expect(page.get_by_text("Comment on a line")).to_be_visible()
    field = page.get_by_label("Comment on this line")
    first = page.locator(".line-comment").first
    page.get_by_role("group", name="Change of app.py").focus()
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    assert first.evaluate("it => getComputedStyle(it).opacity") == "1"
    assert first.evaluate("it => getComputedStyle(it).color !== getComputedStyle(it).backgroundColor")
    for comment in ("One.", "Two."):
        page.keyboard.press("Enter")
        field.fill(comment)
        field.press("Control+Enter")
        first.focus()
        page.keyboard.press("ArrowDown")
    sending = page.get_by_role("form", name="Send comments")
    expect(sending).to_contain_text("2 comments")
    sending.get_by_role("button", name="Discard").click()
    expect(sending).to_contain_text("Discard 2 comments?")
    sending.get_by_role("button", name="Keep").click()
    expect(page.locator(".note-shown")).to_have_count(2)
    sending.get_by_role("button", name="Discard").click()
    sending.get_by_role("button", name="Discard").click()
    expect(page.locator(".note-row")).to_have_count(0)
    expect(sending).to_have_count(0)
    page.reload()
    expect(page.get_by_text("Comment on a line")).to_be_visible()
    expect(page.locator(".note-row")).to_have_count(0)


def test_viewed_files_are_folded_and_counted(page: Page, runs: Runs) -> None:
    """A mark folds its file, is counted and survives a reload; without the mark the file is open again."""
    name = runs.start(ENDED)
    runs.wait_for(f"{name}/epics/alpha/tasks/one/attempts/1", "accepted")
    page.goto(f"/{name}/changes?of=epics/alpha")
    file = page.locator(".diff-file", has_text="app.py")
    expect(file.locator("tr").first).to_be_visible()
    page.get_by_label("Viewed: app.py").check()
    expect(file.locator("tr")).to_have_count(0)
    expect(page.locator(".changes-tools")).to_contain_text("1 viewed")
    page.reload()
    expect(page.get_by_label("Viewed: app.py")).to_be_checked()
    expect(file.locator("tr")).to_have_count(0)
    page.get_by_label("Viewed: app.py").uncheck()
    expect(file.locator("tr").first).to_be_visible()
    expect(page.locator(".changes-tools")).not_to_contain_text("viewed")
