"""What a new user sees first: the empty list, the form with its example, and which agents are ready."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from heddle.samples.example import example_plan
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.support.repositories import make_repository

WORKERS = [
    {
        "name": "workers/local",
        "slots": 3,
        "running": 0,
        "connected": True,
        "reason": "",
        "agents": [
            {"name": "scripted", "available": True, "ready": True, "version": "1", "detail": "plays scripts"},
            {"name": "codex", "available": True, "ready": True, "version": "0.9", "detail": "found"},
            {
                "name": "claude",
                "available": True,
                "ready": False,
                "version": "2.1",
                "detail": "not logged in: run `claude` and log in, or set ANTHROPIC_API_KEY",
            },
            {
                "name": "acp:goose",
                "available": False,
                "ready": False,
                "version": "",
                "detail": "not found on PATH; run: get goose",
            },
            {"name": "command:", "available": True, "ready": True, "version": "", "detail": "any command"},
        ],
    }
]

THREE = """
name: Three
defaults: {agent: claude}
epics:
  - {key: a, title: One, touches: ["a/**"], tasks: [{key: t, prompt: p}]}
  - {key: b, title: Two, touches: ["b/**"], tasks: [{key: t, prompt: p}]}
  - {key: c, title: Three, tasks: [{key: t, prompt: p}]}
"""


def _answer_with(page: Page, path: str, content: object) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body=json.dumps(content), content_type="application/json")

    page.route(path, answer)


@pytest.fixture
def newcomer(page: Page, servers: Servers, tmp_path: Path) -> Page:
    """A page of someone who sees one repository, which had no run."""
    project = make_repository(tmp_path / "garden", {"README.md": "# Garden\n"})
    page.context.add_cookies([servers.cookie_of(servers.limited_token(project))])
    return page


def test_the_first_run_of_the_example_succeeds(newcomer: Page, tmp_path: Path) -> None:
    """From the empty list, three clicks and a path lead to a run of the example that succeeds."""
    # On a machine where an agent is logged in, the real example would spend money.
    dry = {"yaml": example_plan([]), "agent": "scripted", "dry_run": True}
    _answer_with(newcomer, "**/api/plan:example", dry)
    _answer_with(newcomer, "**/api/workers", WORKERS)
    newcomer.goto("/")
    expect(newcomer.locator(".first-steps li").first).to_contain_text("codex is ready.")
    newcomer.get_by_role("link", name="Start the first run").click()
    newcomer.get_by_label("Repository").fill(str(tmp_path / "garden"))
    expect(newcomer.get_by_text("Ready. Your checkout is not touched.")).to_be_visible()
    newcomer.get_by_role("button", name="Insert an example").click()
    expect(newcomer.get_by_text("Dry run.")).to_be_visible()
    expect(newcomer.get_by_text("2 epics, 3 tasks, no errors")).to_be_visible()
    newcomer.get_by_role("button", name="Start run").click()
    newcomer.wait_for_url(re.compile("/runs/first-run"))
    expect(newcomer.locator(".run-line .status")).to_have_text("Succeeded", timeout=90_000)


def test_the_form_says_which_agents_are_ready(page: Page) -> None:
    """Each agent has its state and what to do; the plan's agent that is not ready is named before a start."""
    _answer_with(page, "**/api/workers", WORKERS)
    page.goto("/new")
    agent = page.get_by_label("Agent", exact=True)
    expect(agent.locator("optgroup[label=Ready] option")).to_have_text(
        ["scripted (rehearsal)", "codex", "A command…"]
    )
    expect(agent.locator("optgroup[label='Not ready'] option")).to_have_text(
        ["claude (not logged in)", "acp:goose (not installed)"]
    )
    known = page.locator(".agents-known")
    expect(known.locator("summary")).to_have_text("Ready: codex · 2 not ready")
    known.locator("summary").click()
    expect(known.locator("li", has_text="acp:goose")).to_contain_text("Run: get goose")
    page.get_by_label("Plan", exact=True).fill(THREE)
    warning = page.locator(".agent-warning")
    expect(warning).to_have_text("claude is not logged in. Run claude and log in, or set ANTHROPIC_API_KEY")
    agent.select_option("codex")
    expect(warning).to_have_count(0)


def test_the_preview_says_for_how_many_epics_conflicts_are_unknown(page: Page) -> None:
    """No predicted conflict is not the same as no conflict: epics that declare nothing are counted."""
    page.goto("/new")
    page.get_by_label("Plan", exact=True).fill(THREE)
    clash = page.get_by_role("region", name="Predicted conflicts")
    expect(clash).to_contain_text("None between the epics that declare their paths.")
    expect(clash).to_contain_text("1 of 3 epics declares nothing")
    page.get_by_label("Plan", exact=True).fill(re.sub(r"touches: \S+ ", "", THREE))
    expect(clash).to_contain_text("Not known: none of the 3 epics declares touches")


@pytest.mark.usefixtures("busy")
def test_repositories_with_runs_are_suggested(page: Page, runs: Runs) -> None:
    """The field offers the repositories that had runs, and an error of the base is shown at its own field."""
    page.goto("/new")
    suggested = page.locator("#known-repositories option")
    expect(suggested.and_(page.locator(f'[value="{runs.repository}"]'))).to_be_attached()
    page.get_by_label("Repository").fill(str(runs.repository))
    page.get_by_label("Start from").fill("no-such-branch")
    expect(page.locator(".field-error")).to_contain_text("'no-such-branch' is not a branch, tag or commit")
    expect(page.locator("#repository-state")).to_contain_text("Ready.")
