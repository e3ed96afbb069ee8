"""The pages of conflicts, reports and costs."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.plans import CLASH
from tests.e2e.runs import Runs


@pytest.fixture(scope="module")
def clash(runs: Runs) -> str:
    """A run that ended with a conflict, a failure, a picture and a merged epic."""
    name = runs.start(CLASH)
    runs.wait_for_run(name, "failed")
    return name


def test_a_conflict_stands_in_the_heat_map_and_the_queue(page: Page, clash: str) -> None:
    """The heat map has the pair and its file; the queue has the merged epic and the conflicting one."""
    page.goto(f"/{clash}/conflicts")
    queue = page.locator(".queue li")
    expect(queue.filter(has_text="Second")).to_contain_text("Conflict")
    expect(queue.filter(has_text="First")).to_contain_text("Merged")
    queue.filter(has_text="Second").get_by_text("Conflicting changes").click()
    expect(queue.filter(has_text="Second")).to_contain_text("<<<<<<<")
    expect(queue.filter(has_text="Second")).to_contain_text("git merge --no-ff")
    expect(queue.get_by_role("button", name="Resolve with an agent")).to_have_count(1)
    cell = page.get_by_role("button", name=re.compile("First and Second: 1 file"))
    cell.click()
    expect(cell).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".radar-list")).to_contain_text("same.txt")
    with page.expect_response("**/epics/two:merge") as answer:
        queue.filter(has_text="Second").get_by_role("button", name="Merge again").click()
    assert answer.value.status == 200
    # The branch is unchanged, so it conflicts again.
    expect(queue.filter(has_text="Second")).to_contain_text("Conflict")


def test_the_report_says_what_was_done_and_what_was_not_and_why(page: Page, clash: str) -> None:
    """The report has tasks with tests, lines and cost; failures with reasons and branches; merges; pictures."""
    page.goto(f"/{clash}")
    expect(page.locator(".lane").first).to_be_visible()
    page.keyboard.press("5")
    expect(page).to_have_url(re.compile("/report$"))
    report = page.get_by_role("article", name="Clash")
    expect(report.locator(".report-verdict")).to_have_text("Failed: 2 of 3 tasks done, 1 failed")
    done = report.get_by_role("region", name="Done")
    expect(done.get_by_role("row", name=re.compile("Write it 1"))).to_contain_text("1 of 1 check")
    expect(done.get_by_role("row", name=re.compile("Write it 1"))).to_contain_text("$0.020")
    missing = report.get_by_role("region", name="Not done, and why")
    expect(missing).to_contain_text("The server is away.")
    expect(missing).to_contain_text("Its merge conflicts in same.txt")
    expect(missing).to_contain_text(re.compile("Saved: heddle/clash-.*/epics/two"))
    merges = report.get_by_role("region", name="Merges")
    expect(merges).to_contain_text(re.compile("First merged into heddle/clash"))
    expect(merges).to_contain_text(re.compile("Second conflicts with .* in same.txt"))
    expect(report.get_by_role("region", name="Cost")).to_contain_text("claude-sonnet-4-5")
    expect(report.get_by_role("img", name="The finished page")).to_be_visible()


def test_the_report_is_one_file_that_needs_nothing_else(page: Page, clash: str, tmp_path: Path) -> None:
    """The saved report shows everything without a network, including pictures; printed, it has no controls."""
    page.goto(f"/{clash}/report")
    expect(page.get_by_role("img", name="The finished page")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as one file").click()
    assert download.value.suggested_filename == f"{clash.removeprefix('runs/')}-report.html"
    file = tmp_path / "report.html"
    download.value.save_as(file)
    page.emulate_media(media="print")
    expect(page.locator(".topbar")).to_be_hidden()
    expect(page.locator(".report-tools")).to_be_hidden()
    page.emulate_media(media="screen")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(offline=True)
    page.goto(file.as_uri())
    expect(page.locator(".report-verdict")).to_have_text("Failed: 2 of 3 tasks done, 1 failed")
    assert page.get_by_role("img", name="The finished page").evaluate("it => it.naturalWidth") > 100
    assert page.evaluate("document.querySelectorAll('script, link').length") == 0
    assert ".report-verdict" in (page.locator("style").text_content() or "")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [1440, 390])
def test_costs_are_followed_down_to_a_session(page: Page, clash: str, runs: Runs, width: int) -> None:
    """Costs lead from projects to attempts, each level with its sum and models; Back and addresses work too."""
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/costs")
    path = page.get_by_role("navigation", name="Level")
    page.get_by_role("link", name=str(runs.repository)).click()
    expect(page.get_by_role("columnheader", name="Run")).to_be_visible()
    page.get_by_role("row", name=re.compile(clash.removeprefix("runs/"))).get_by_role("link").click()
    expect(page.locator(".cost-total")).to_contain_text("$0.020")
    expect(page.get_by_role("region", name="By model")).to_contain_text("claude-sonnet-4-5")
    page.get_by_role("link", name="First").click()
    page.get_by_role("link", name="Write it", exact=True).click()
    expect(page.get_by_role("link", name="Attempt 1")).to_have_attribute(
        "href", f"/{clash}/epics/one/tasks/write/attempts/1"
    )
    expect(path).to_contain_text("Write it")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.reload()
    expect(page.get_by_role("link", name="Attempt 1")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("columnheader", name="Task")).to_be_visible()
    path.get_by_role("link", name="All projects").click()
    expect(page.get_by_role("columnheader", name="Project")).to_be_visible()
