"""Items that wait for the operator are counted on every page and answered in the list."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.e2e.plans import CLASH, DEAR, LATER, SMALL
from tests.e2e.runs import Runs
from tests.support.repositories import git, make_repository

# Replaces the browser's notifications, which a test cannot see, by ones that are recorded.
NOTIFICATIONS = """
window.shown = [];
window.Notification = class {
  static permission = "granted";
  constructor(title, options) { window.shown.push([title, options.body]); }
};
"""

HIDE = """
Object.defineProperty(document, "hidden", { value: true, configurable: true });
document.dispatchEvent(new Event("visibilitychange"));
"""

SHOW = HIDE.replace("value: true", "value: false")


def item(page: Page, run: str, path: str) -> Locator:
    """Returns the item about a part of a run."""
    return page.locator(f'.attention-item[data-key^="{run}/{path}"]')


def test_every_page_counts_what_waits_in_bar_and_title(page: Page, busy: str) -> None:
    """Questions come first, oldest first; each names its task, epic and run, and links to its session."""
    for path in ("/", f"/{busy}", f"/{busy}/epics/search/tasks/index/attempts/1"):
        page.goto(path)
        button = page.locator(".attention-button")
        expect(button).to_have_attribute("aria-label", re.compile(r"^\d+ items waiting for you"))
        count = button.inner_text().strip()
        expect(page).to_have_title(re.compile(rf"^\({count}\) .* . Heddle$"))
    page.goto("/")
    page.get_by_role("button", name=re.compile("waiting for you")).click()
    question = item(page, busy, "epics/database")
    expect(question).to_contain_text("Migrate the users")
    expect(question).to_contain_text("Database · Storefront")
    expect(question).to_contain_text("Rewrite 1.2 million rows now?")
    failure = item(page, busy, "epics/payments")
    expect(failure).to_contain_text("The payment provider rejects the key")
    kinds = page.locator(".attention-item").evaluate_all(
        "all => all.map(it => it.className.includes('wait'))"
    )
    assert kinds == sorted(kinds, reverse=True)
    question.get_by_role("link", name="Migrate the users").click()
    expect(page.get_by_role("dialog", name=re.compile("Migrate the users"))).to_be_visible()


def test_a_question_is_answered_by_keyboard_with_a_message(page: Page, runs: Runs) -> None:
    """The agent receives the message; the item disappears and is no longer counted."""
    name = runs.start(SMALL)
    attempt = "epics/beta/tasks/one/attempts/1"
    runs.wait_for(f"{name}/{attempt}", "waiting")
    page.goto("/")
    expect(page.locator(".run-row").first).to_be_visible()
    page.keyboard.press("a")
    mine = item(page, name, "epics/beta")
    expect(mine).to_be_visible()
    for _ in range(page.locator(".attention-item").count()):
        if mine.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("j")
    expect(mine).to_be_focused()
    page.keyboard.press("m")
    page.keyboard.type("Only on a copy.")
    mine.get_by_role("button", name="Allow").click()
    expect(mine).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.attention")).to_have_count(0)
    page.goto(f"/{name}/{attempt}?tab=logs")
    expect(page.locator(".log-row", has_text="allowed: Only on a copy.")).to_be_visible()
    runs.cancel(name)


def test_answers_follow_each_other_by_keyboard(page: Page, runs: Runs) -> None:
    """After an answer, by key or by its button, the next item has the focus and takes the next key."""
    names = []
    for _ in range(3):
        # One after the other: the oldest question is the first.
        names.append(name := runs.start(SMALL))
        runs.wait_for(f"{name}/epics/beta/tasks/one/attempts/1", "waiting")
    page.goto("/")
    page.locator(".attention-button").click()
    items = [item(page, name, "epics/beta") for name in names]
    for each in items:
        expect(each).to_be_visible()
    items[0].focus()
    page.keyboard.press("a")
    expect(items[0]).to_have_count(0)
    expect(items[1]).to_be_focused()
    items[1].get_by_role("button", name="Allow", exact=True).click()
    expect(items[1]).to_have_count(0)
    expect(items[2]).to_be_focused()
    # A click next to the items leaves the focus on no item.
    page.locator(".attention-head h2").click()
    page.keyboard.press("j")
    expect(items[2]).to_be_focused()
    page.keyboard.press("a")
    expect(items[2]).to_have_count(0)
    for name in names:
        runs.cancel(name)


def test_a_failure_that_is_dismissed_stays_away(page: Page, busy: str) -> None:
    """A dismissed failure is no longer counted, even after a reload."""
    page.goto(f"/{busy}")
    button = page.locator(".attention-button")
    button.click()
    failure = item(page, busy, "epics/payments")
    expect(failure).to_be_visible()
    before = int(button.inner_text())
    failure.get_by_role("button", name="Dismiss").click()
    expect(failure).to_have_count(0)
    expect(button).to_have_text(str(before - 1))
    page.reload()
    expect(button).to_have_text(str(before - 1))


def test_only_who_looks_elsewhere_is_notified(page: Page, runs: Runs) -> None:
    """A new question notifies a hidden tab, not a visible one; old questions do not notify."""
    page.add_init_script(NOTIFICATIONS)
    page.goto("/")
    expect(page.locator(".attention-button.has-question")).to_be_visible()
    assert page.evaluate("window.shown") == []
    seen = runs.start(SMALL)
    question = item(page, seen, "epics/beta")
    page.locator(".attention-button").click()
    expect(question).to_be_visible()
    assert page.evaluate("window.shown") == []
    page.evaluate(HIDE)
    other = runs.start(SMALL)
    expect(item(page, other, "epics/beta")).to_be_attached()
    assert page.evaluate("window.shown") == [["Other thing has a question", "May I?"]]
    page.evaluate(SHOW)
    for name in (seen, other):
        runs.cancel(name)
        expect(item(page, name, "epics/beta")).to_have_count(0)


def test_a_used_up_budget_waits_and_is_answered_in_place(page: Page, runs: Runs) -> None:
    """The run is paused and every page says so; b raises its budget, and it resumes."""
    name = runs.start(DEAR)
    runs.wait_for_run(name, "paused")
    page.goto(f"/{name}")
    # No status says that anything runs; the header offers to resume the run.
    expect(page.get_by_role("region", name="Only").locator(".status").first).to_have_text("Paused")
    expect(
        page.locator(".run-controls").get_by_role(
            "button", name=re.compile(r"^Raise to \$[\d.]+ and resume$")
        )
    ).to_be_visible()
    expect(page.locator(".run-controls").get_by_role("button", name="Resume", exact=True)).to_have_count(0)
    page.keyboard.press("a")
    halt = page.locator(f'.attention-item[data-key^="{name}:budget"]')
    expect(halt).to_contain_text("the budget of $0.01 for the run is used up")
    # The page has a button for it.
    expect(halt).not_to_contain_text("heddle resume")
    expect(halt.get_by_role("button", name="Dismiss")).to_have_count(0)
    halt.focus()
    page.keyboard.press("b")
    amount = halt.get_by_label("New budget in US dollars")
    expect(amount).to_be_focused()
    amount.fill("3")
    page.keyboard.press("Enter")
    expect(halt).to_have_count(0)
    expect(page.locator(".toast")).to_contain_text("The budget of Dear run is now $3.00")
    assert runs.get_run(name)["budget"] == 3_000_000
    runs.cancel(name)


def test_a_held_provider_is_shown_and_lifted_on_the_run(page: Page, runs: Runs) -> None:
    """The run's page says which provider is on hold until when; after a resume, the task keeps its files."""
    name = runs.start(LATER)
    page.goto(f"/{name}")
    hold = page.locator(".run-hold")
    expect(hold).to_contain_text("is on hold until")
    expect(hold).to_contain_text("exit code 75")
    expect(page.locator(".card-reason")).to_contain_text("rate-limited until")
    hold.get_by_role("button", name="Resume now").click()
    expect(hold).to_have_count(0)
    runs.wait_for_run(name, "succeeded")


def test_a_conflict_waits_and_is_merged_again_from_the_list(page: Page, runs: Runs) -> None:
    """The item names the files and the branch with the work; the failed run has no second item."""
    name = runs.start(CLASH)
    runs.wait_for_run(name, "failed")
    page.goto("/")
    page.locator(".attention-button.has-some").click()
    conflict = page.locator(f'.attention-item[data-key^="{name}/epics/two:conflict"]')
    expect(conflict).to_contain_text("Its merge conflicts in same.txt.")
    expect(conflict).to_contain_text("Nothing is lost: the work is on heddle/")
    expect(page.locator(f'.attention-item[data-key="{name}"]')).to_have_count(0)
    conflict.get_by_role("button", name="Merge again").click()
    expect(page.get_by_text("Merge of Second requested")).to_be_visible()
    conflict.focus()
    page.keyboard.press("x")
    expect(conflict).to_have_count(0)


LOOKED_AT = """
name: Looked at
epics:
  - key: one
    title: First
    tasks:
      - {key: t, prompt: Do it., agent: "command:echo a > a"}
  - key: two
    title: Second
    depends_on: [one]
    tasks:
      - key: t
        prompt: Do it.
        agent: "command:until git rev-parse -q --verify refs/tags/go; do sleep 0.1; done; echo b > b"
"""


def test_a_merge_on_hold_waits_until_it_is_possible(page: Page, runs: Runs, tmp_path: Path) -> None:
    """Its epic is listed with what blocks work, cannot be dismissed, and leaves once it is merged."""
    repository = make_repository(tmp_path / "repository")
    name = runs.post("runs", yaml=LOOKED_AT, project=str(repository))["name"]
    runs.wait_for(f"{name}/epics/two/tasks/t/attempts/1", "running")
    git(repository, "switch", "--quiet", runs.get_run(name)["branch"])
    git(repository, "tag", "go")
    page.goto("/")
    page.locator(".attention-button").click()
    hold = item(page, name, "epics/two:held")
    expect(hold).to_contain_text("Merge on hold")
    expect(hold.get_by_role("button", name="Dismiss")).to_have_count(0)
    group = page.get_by_role("region", name="Needs your answer")
    expect(group.locator(f'[data-key^="{name}/epics/two:held"]')).to_be_visible()
    git(repository, "switch", "--quiet", "main")
    expect(hold).to_have_count(0)
    runs.wait_for_run(name, "succeeded")


GUARDED = """
name: Guarded
epics:
  - key: e
    tasks:
      - key: build
        title: Build it
        script: [{run: "echo lib/ > .gitignore; mkdir lib; echo u > lib/u"}]
      - key: review
        title: Review it
        script: [{say: All is well.}]
"""


def test_a_task_that_changed_nothing_is_marked_wherever_it_is_shown(page: Page, runs: Runs) -> None:
    """The mark is in the queue, on the card and in the report; the Quality tab names the ignored files."""
    name = runs.start(GUARDED)
    runs.wait_for_run(name, "succeeded")
    page.goto(f"/{name}")
    expect(page.locator(".card", has_text="Review it").locator(".card-reason")).to_have_text(
        "it changed nothing"
    )
    page.locator(".attention-button").click()
    mine = page.locator(f'.attention-item[data-key^="{name}:unchanged"]')
    expect(mine).to_contain_text("Accepted without a change: Review it")
    mine.get_by_role("button", name="Dismiss").click()
    expect(mine).to_have_count(0)
    page.goto(f"/{name}/epics/e/tasks/build/attempts/1?tab=quality")
    expect(page.locator(".quality-ignored")).to_have_text("lib/u")
    page.goto(f"/{name}/report")
    expect(page.locator(".report-verdict")).to_contain_text("2 of 2 tasks done, 1 without a change")
    expect(page.locator(".report-epic tr", has_text="Review it")).to_contain_text("no changes")
