"""A person resolves a merge conflict on its page, with real git behind it."""

import re
import subprocess

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.runs import Runs
from tests.e2e.test_accessibility import grave_violations
from tests.e2e.waits import wait_until
from tests.support.repositories import git

# A shop whose two epics change the same lines, after a first one laid the base.
WRITES = r"""
case $HEDDLE_EPIC in
  base)
    printf '%s\n' 'def total(items):' '    # The price of a cart.' '    return sum(items)' '' > cart.py
    for n in 1 2 3 4 5 6 7 8 9; do echo "# Section $n of the module." >> cart.py; done
    printf '%s\n' '' 'RATE = 0.19' >> cart.py
    printf 'name=shop\r\ncolor=grey\r\n' > shop.ini
    printf '\000base' > logo.png
    seq 20 > notes.txt ;;
  tax)
    sed -i 's/return sum(items)/return round(sum(items) * (1 + RATE), 2)/; s/^RATE.*/RATE = 0.21/' cart.py
    printf 'name=shop\r\ncolor=blue\r\n' > shop.ini
    printf '\000tax' > logo.png
    sed -i 's/^20$/twenty/' notes.txt ;;
  discount)
    sed -i 's/return sum(items)/return sum(items) - discount(items)/; s/^RATE.*/RATE = 0.07  # reduced/' cart.py
    printf 'name=shop\r\ncolor=red\r\n' > shop.ini
    printf '\000discount' > logo.png
    rm notes.txt ;;
esac
"""


def plan() -> str:
    agent = "command:" + WRITES.strip()
    indented = "\n".join(f"      {line}" for line in agent.splitlines())
    epics = "".join(
        f"  - {{key: {key}, title: {title}, depends_on: [{needs}], tasks: [{{key: write, title: Write it, prompt: Do it.}}]}}\n"
        for key, title, needs in (
            ("base", "Base", ""),
            ("tax", "Tax by country", "base"),
            ("discount", "Discounts", "base"),
        )
    )
    return (
        "name: Prices\n"
        f"merge_checks: [{{name: no todo, run: '! grep -q TODO cart.py'}}]\ndefaults:\n  agent: |-\n{indented}\n"
        f"epics:\n{epics}"
    )


@pytest.fixture
def conflicted(runs: Runs) -> str:
    """The epic whose merge conflicts."""
    name = runs.start(plan(), max_parallel=4)
    runs.wait_for_run(name, "failed")
    conflicts = runs.get(f"{name}/conflicts")
    (epic,) = (each["epic"] for each in conflicts["queue"] if each["stage"] == "conflicted")
    return f"{name}/epics/{epic}"


def opened(page: Page, epic: str) -> None:
    run, _, key = epic.rpartition("/epics/")
    page.goto(f"/{run}/conflicts?resolve={key}")
    expect(page.locator(".resolve-files li")).to_have_count(4)


def choose(page: Page, file: str, card: str) -> None:
    page.locator(".resolve-files").get_by_role("button", name=file).click()
    page.locator(".side-card", has_text=card).click()


def region(page: Page, number: int) -> Locator:
    return page.get_by_role("region", name=f"Conflict {number} of")


def write(page: Page, number: int, text: str) -> None:
    """Replaces the result of a region in its editor."""
    region(page, number).get_by_role("button", name="Edit", exact=True).click()
    editor = page.get_by_role("textbox", name=f"Result of conflict {number}")
    expect(editor).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def content(runs: Runs, run: str, file: str) -> bytes:
    shown = ["git", "-C", str(runs.repository), "show", f"heddle/{run.removeprefix('runs/')}/merged:{file}"]
    return subprocess.run(shown, capture_output=True, check=True).stdout


@pytest.mark.complains("409")
def test_a_person_resolves_a_conflict(page: Page, runs: Runs, conflicted: str) -> None:
    """Choices become the merge once its checks pass; nothing that was decided is lost before."""
    run, _, key = conflicted.rpartition("/epics/")
    page.goto(f"/{run}")
    page.locator(".lane-actions").get_by_role("link", name="Resolve here").click()
    expect(page.locator(".resolve-files li")).to_have_count(4)
    merge = page.get_by_role("button", name="Check and merge")
    expect(merge).to_be_disabled()
    # By keyboard: the next place without a choice, and one of its sides.
    page.keyboard.press("n")
    expect(region(page, 1)).to_be_focused()
    page.keyboard.press("t")
    expect(region(page, 1).get_by_role("button", name="Theirs", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    write(page, 2, "RATE = 0.21  # TODO\n")
    expect(page.get_by_role("button", name="cart.py decided")).to_be_visible()
    choose(page, "logo.png", "Theirs")
    choose(page, "notes.txt", "Keep it")
    page.locator(".resolve-files").get_by_role("button", name="shop.ini").click()
    expect(region(page, 1).get_by_text("CRLF")).to_have_count(2)
    region(page, 1).get_by_role("button", name="Both, ours first").click()
    # Meanwhile the target moves: the person is told, and decides again only what has changed.
    target = f"heddle/{run.removeprefix('runs/')}/merged"
    later = git(runs.repository, "commit-tree", f"{target}^{{tree}}", "-p", target, "-m", "By hand")
    git(runs.repository, "update-ref", f"refs/heads/{target}", later)
    merge.click()
    expect(page.get_by_role("alert")).to_contain_text(f"{target} has moved")
    page.get_by_role("button", name="Read the conflict again").click()
    expect(page.get_by_text("One of the branches has moved since you began")).to_be_visible()
    expect(page.get_by_text("All 4 files are decided")).to_be_visible()
    merge.click()
    # The checks fail on it: what was decided is still there.
    expect(page.get_by_role("button", name="Continue resolving")).to_be_visible()
    page.get_by_role("button", name="Continue resolving").click()
    expect(page.get_by_text("Your last resolution was not merged: check 'no todo' failed")).to_be_visible()
    page.reload()
    expect(page.get_by_role("textbox", name="Result of conflict 2")).to_have_text(re.compile("TODO"))
    region(page, 2).get_by_role("button", name="Edit", exact=True).click()
    write(page, 2, "RATE = 0.05\n")
    merge.click()
    runs.wait_for_run(run, "succeeded")
    merged = content(runs, run, "cart.py").decode()
    assert merged.endswith("RATE = 0.05\n")
    # The side that was merged first is theirs.
    theirs = "round(" if key == "discount" else "discount("
    assert theirs in merged
    assert content(runs, run, "logo.png") == (b"\0tax" if key == "discount" else b"\0discount")
    assert content(runs, run, "notes.txt").startswith(b"1\n2\n")
    assert content(runs, run, "shop.ini").count(b"\r\n") == 3
    expect(page.locator(".queue").get_by_text("Merged", exact=True)).to_have_count(3)
    wait_until(page, "!Object.keys(localStorage).some(key => key.startsWith('heddle-resolution'))")


def test_sides_are_taken_on_a_phone(page: Page, conflicted: str) -> None:
    """The page fits a phone; axe finds nothing serious in either scheme, with an editor open or with cards."""
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, conflicted)
    region(page, 1).get_by_role("button", name="Ours", exact=True).click()
    write(page, 2, "RATE = 0.05\n")
    # The code has its colours.
    expect(page.locator(".pane.is-result .hl-keyword").first).to_have_text("return")
    found = grave_violations(page)
    choose(page, "logo.png", "Ours")
    expect(page.get_by_text("2 of 4 files decided")).to_be_visible()
    wait_until(page, "document.documentElement.scrollWidth <= innerWidth")
    assert [*found, *grave_violations(page)] == []
