"""The page that starts a run: the plan editor and the plan preview."""

import getpass
import re
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.e2e.plans import CHAIN, SMALL, WITH_MISTAKES
from tests.e2e.runs import Runs
from tests.support.repositories import make_repository


@pytest.fixture
def form(page: Page) -> Page:
    page.goto("/")
    page.get_by_role("link", name="New run").click()
    expect(page.get_by_label("Plan", exact=True)).to_be_visible()
    return page


def write(page: Page, plan: str) -> None:
    """Loads a plan into the editor as a file, because typing a long one takes the browser seconds."""
    content: FilePayload = {"name": "plan.yaml", "mimeType": "text/yaml", "buffer": plan.encode()}
    page.get_by_label("Choose a file").set_input_files(content)


def test_a_plan_is_checked_as_it_is_typed_and_starts_one_run(form: Page, runs: Runs) -> None:
    """Each error is shown under its line; a double click starts one run, whose growing output is shown."""
    form.get_by_label("Repository").fill(str(runs.repository))
    form.get_by_role("button", name="Insert an example").click()
    expect(form.get_by_text("2 epics, 3 tasks, no errors")).to_be_visible()
    form.get_by_label("Plan", exact=True).fill(WITH_MISTAKES)
    expect(form.get_by_text("2 errors. Fix them to start the run.")).to_be_visible()
    under = form.locator(".cm-line:has-text('promt') + .editor-problem")
    expect(under).to_have_text("promt unknown key, did you mean prompt?")
    form.get_by_role("button", name="Line 6").click()
    expect(form.locator(".cm-activeLine")).to_have_text(re.compile("promt: Do it"))
    expect(form.get_by_role("button", name="Start run")).to_be_disabled()
    before = len(runs.get("runs")["runs"])
    write(form, SMALL)
    expect(form.get_by_text("2 epics, 2 tasks, no errors")).to_be_visible()
    form.get_by_role("button", name="Start run").dblclick()
    form.wait_for_url(re.compile(r"/runs/small-change-"))
    name = form.url.split("/", 3)[3]
    lines = form.locator(".card", has=form.locator('[data-attempt*="epics/alpha/"]')).locator(".card-lines")
    expect(lines).to_contain_text("line 2")
    expect(lines).to_contain_text(re.compile(r"line ([6-9]|\d\d)"))
    assert len(runs.get("runs")["runs"]) == before + 1
    form.get_by_role("button", name="Cancel run").click()
    expect(form.get_by_text("Stop every agent and end the run?")).to_be_visible()
    form.get_by_role("button", name="Cancel run").click()
    expect(form.locator(".run-line .status")).to_have_text("Cancelled")
    assert runs.get_run(name)["creator"] == f"user:{getpass.getuser()}"


def test_what_a_plan_will_do_is_told_before_it_starts(form: Page, runs: Runs) -> None:
    """The preview has waves, critical path, estimated time and cost, and conflicts; options change it."""
    assert isinstance(runs.get("agent_costs")["costs"], dict)
    form.route("**/api/agent_costs", lambda route: route.fulfill(json={"costs": {"scripted": 250_000}}))
    write(form, CHAIN)
    facts = form.locator(".outlook-facts")
    expect(facts).to_contain_text(re.compile(r"Estimated cost\s*\$0\.75"))
    expect(facts).to_contain_text(re.compile("Estimated time\\s*15 min"))
    expect(facts).to_contain_text(re.compile("Fastest possible\\s*15 min"))
    expect(facts).to_contain_text(re.compile("Total work\\s*20 min"))
    expect(form.locator(".plan-key")).to_contain_text("Groundwork → Last (15 min)")
    expect(form.get_by_role("region", name="Waves")).to_contain_text("Groundwork, Side work")
    clash = form.get_by_role("region", name="Predicted conflicts")
    expect(clash).to_contain_text("Groundwork and Side work both declare src/** / src/side/**")
    assert form.locator(".plan-track i").count() == 3
    form.get_by_label("Max parallel agents").fill("1")
    expect(facts).to_contain_text(re.compile("Estimated time\\s*20 min"))
    expect(facts).to_contain_text(re.compile("Max parallel\\s*1 of 1"))


def test_a_dropped_file_and_what_was_typed_outlive_a_reload(form: Page, tmp_path: Path) -> None:
    """A chosen or dropped file fills the editor; its text and the other fields survive a reload of the page."""
    file = tmp_path / "plan.yaml"
    file.write_text(CHAIN)
    form.get_by_label("Choose a file").set_input_files(file)
    expect(form.get_by_text("3 epics, 3 tasks, no errors")).to_be_visible()
    form.get_by_label("Merge into").fill("release")
    form.reload()
    expect(form.get_by_text("3 epics, 3 tasks, no errors")).to_be_visible()
    expect(form.get_by_label("Merge into")).to_have_value("release")
    drop = """text => {
        const data = new DataTransfer();
        data.items.add(new File([text], "other.yaml"));
        const it = document.querySelector(".new-run");
        it.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    form.evaluate(drop, SMALL)
    expect(form.get_by_text("2 epics, 2 tasks, no errors")).to_be_visible()


@pytest.mark.complains("409 |400 ")
def test_a_project_that_is_no_repository_is_refused_in_the_form(form: Page) -> None:
    """The error names the repository, and the typed plan is not lost."""
    form.get_by_label("Repository").fill("/nowhere/at/all")
    write(form, SMALL)
    # Shown at the field before a start, and again after a failed one.
    expect(form.locator("#repository-state")).to_contain_text("/nowhere/at/all does not exist")
    expect(form.get_by_label("Repository")).to_have_attribute("aria-invalid", "true")
    with form.expect_response("**/api/runs") as answer:
        form.get_by_role("button", name="Start run").click()
    assert answer.value.status in {400, 409}
    expect(form.locator(".new-run-foot").get_by_role("alert")).to_contain_text("/nowhere/at/all")
    expect(form.get_by_label("Plan", exact=True)).to_contain_text("Small change")


@pytest.mark.complains("409 ")
def test_a_checkout_with_changes_asks_for_consent(form: Page, tmp_path: Path) -> None:
    """The form reports uncommitted changes and offers to start anyway; nothing in the checkout changes."""
    project = make_repository(tmp_path / "dirty")
    (project / "README.md").write_text("# Not committed\n")
    form.get_by_label("Repository").fill(str(project))
    form.get_by_label("Budget, US$").fill("2.5")
    write(form, "name: Tiny\nepics: [{key: a, tasks: [{key: t, prompt: p}]}]")
    expect(form.locator("#repository-state")).to_contain_text("uncommitted changes")
    form.get_by_label("Start with uncommitted changes").check()
    expect(form.locator("#repository-state")).to_contain_text("Ready.")
    expect(form.get_by_role("alert")).to_have_count(0)
    form.get_by_role("button", name="Start run").click()
    form.wait_for_url(re.compile("/runs/tiny-"))
    expect(form.locator(".run-line .status")).to_have_text("Succeeded")
    expect(form.locator(".run-progress .budget")).to_contain_text("of $2.50")
    assert (project / "README.md").read_text() == "# Not committed\n"
