"""`make screenshots`: pictures of every view in its states, wide and narrow, light and dark.

They go to build/screenshots/VIEW-STATE-WIDTH-SCHEME.png, to be looked at; those that
documents show are copied to docs/screenshots/.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser_setup import ADVICE, chromium_path
from tests.e2e.conftest import FLAGS
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.waits import wait_until
from tests.screenshots import scenes
from tests.support.repositories import make_repository

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "screenshots"

SIZES: Final = {1440: 900, 390: 844}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

# By the name of a picture: the document's.
KEPT: Final = {
    "board-busy-1440-light": "board.png",
    "session-current-1440-light": "session.png",
    "session-costs-1440-light": "costs.png",
    "timeline-busy-1440-light": "timeline.png",
    "conflicts-busy-1440-light": "conflicts.png",
    "report-finished-1440-light": "report.png",
}

# The pages of the navigation with forms and tables.
MANAGE: Final = ("workers", "worktrees", "projects", "spending", "people", "audit", "settings", "about")

# ms; a busy machine is slow, not wrong.
_PATIENCE: Final = 120_000

# Seconds that agents get to show something.
_UNDER_WAY: Final = 12.0


class View(NamedTuple):
    """A picture's name, its address, and what is on the page once it can be taken."""

    name: str
    path: str
    ready: str


def main() -> int:
    """Takes the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[""], help="pictures whose name holds one of these")
    only = parser.parse_args().only
    path = chromium_path()
    if path is None:
        print(ADVICE, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        servers = Servers(Path(scratch) / "home")
        servers.start()
        try:
            _take(browser, servers, [View("runs-empty", "/", "main")], only)
            files = {
                "README.md": "# Shop\n",
                "part.py": "x = 1\n",
                "drafted.txt": scenes.drafted(),
                "again.txt": scenes.planned_again(),
                "tries.sh": scenes.TRIES,
                "choice.json": scenes.CHOICE,
            }
            repository = make_repository(Path(scratch) / "shop", files)
            _take(browser, servers, list(_scene(Runs(servers.url, servers.token, repository))), only)
        finally:
            servers.stop()
            browser.close()
    for name, kept in KEPT.items():
        if _is_wanted(name, only):
            shutil.copy(FOLDER / f"{name}.png", ROOT / "docs" / "screenshots" / kept)
    print(f"The pictures are in {FOLDER.relative_to(ROOT)}")
    return 0


def _scene(runs: Runs) -> Iterator[View]:
    """Starts a run for each state; yields the views once they have something to show."""
    finished = runs.start(scenes.finished())
    failing = runs.start(scenes.failing())
    conflicting = runs.start(scenes.conflicting())
    for key, *_ in scenes.EPICS[:4]:
        runs.wait_for(f"{finished}/epics/{key}/tasks/task-1/attempts/1", "accepted")
    runs.wait_for(f"{failing}/epics/invoices/tasks/task-1/attempts/1", "failed")
    runs.wait_for_run(conflicting, "failed", timeout=120)
    waiting = runs.start(scenes.waiting())
    runs.wait_for(f"{waiting}/epics/schema/tasks/task-1/attempts/1", "waiting")
    busy = runs.start(scenes.busy())
    runs.wait_for(f"{busy}/epics/search/tasks/task-1/attempts/1", "running")
    time.sleep(_UNDER_WAY)
    session = f"/{busy}/epics/search/tasks/task-1/attempts/1"
    yield View("runs-busy", "/", ".run-row, tbody tr")
    for state, run in (("busy", busy), ("failing", failing), ("waiting", waiting), ("finished", finished)):
        yield View(f"board-{state}", f"/{run}", ".lane")
    for tab in ("current", "history", "logs", "screenshots", "quality", "costs"):
        yield View(f"session-{tab}", f"{session}?tab={tab}", "#tab-panel > *")
    done = f"/{failing}/epics/invoices/tasks/task-1/attempts/1"
    yield View("session-quality-failing", f"{done}?tab=quality", "#tab-panel > *")
    for state, run in (("busy", busy), ("finished", finished)):
        yield View(f"timeline-{state}", f"/{run}/timeline", "main")
        yield View(f"changes-{state}", f"/{run}/changes", "main")
        yield View(f"conflicts-{state}", f"/{run}/conflicts", "main")
        yield View(f"report-{state}", f"/{run}/report", "main")
    (conflict,) = (
        each["epic"]
        for each in runs.get(f"{conflicting}/conflicts")["queue"]
        if each["stage"] == "conflicted"
    )
    yield View("board-conflicted", f"/{conflicting}", ".lane")
    yield View("resolver", f"/{conflicting}/conflicts?resolve={conflict}", ".region")
    yield View("terminal", f"/{busy}/epics/search/terminal", ".terminal-state.is-open")
    yield View("terminal-failing", f"/{finished}/epics/search/terminal", ".terminal-state.is-ended")
    draft = _drafted(runs, "drafts", "drafted.txt", goal="Bill without gaps", project=str(runs.repository))
    yield View("new-run-drafted", f"/new?draft={draft}", ".goal-reasons")
    yield View("plan", f"/{failing}/plan", ".proposal")
    again = _drafted(runs, f"{failing}/plan:revise", "again.txt", kind="rest", epic="invoices")
    yield View("plan-proposal", f"/{failing}/plan?draft={again}", ".plan-changes")
    yield from _candidates(runs)
    yield View("costs", "/costs", "main")
    yield View("new-run", "/new", ".cm-content")
    for key in MANAGE:
        yield View(key, f"/{key}", "main .m-head ~ *")
    yield View("not-found", "/runs/none-such", "main")


def _candidates(runs: Runs) -> Iterator[View]:
    """Lets agents try tasks several times; the candidates of one wait for a choice, those of the other were compared."""
    run = runs.start(scenes.tried())
    asks, compared = (f"{run}/epics/{key}/tasks/task-1" for key in ("totals", "receipts"))
    for number in (1, 2):
        runs.wait_for(f"{asks}@{number}/attempts/1", "submitted")
    runs.wait_for(f"{compared}/attempts/2", "accepted")
    yield View("board-candidates", f"/{run}", ".candidate")
    yield View("session-candidates", f"/{asks}@1/attempts/1?tab=quality", "#tab-panel > *")
    yield View("session-comparison", f"/{compared}/attempts/1?tab=quality", "#tab-panel .review")
    first, second = (f"{asks.removeprefix(f'{run}/')}@{number}/attempts/1" for number in (1, 2))
    yield View("changes-candidates", f"/{run}/changes?of={first}&with={second}", ".compared-file")


def _drafted(runs: Runs, path: str, answer: str, **asked: object) -> str:
    """Lets a command answer with a file; returns the key of the ended draft."""
    name: str = runs.post(path, agent=f"command:cat {answer}", **asked)["run"]["name"]
    runs.wait_for_run(name, "succeeded", timeout=120)
    return name.removeprefix("runs/")


def _take(browser: Browser, servers: Servers, views: list[View], only: list[str]) -> None:
    for view in views:
        for width, height in SIZES.items():
            for scheme in SCHEMES:
                name = f"{view.name}-{width}-{scheme}"
                if not _is_wanted(name, only):
                    continue
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                )
                context.add_cookies([servers.cookie])
                # What a sign-in stores for changes, such as opening a terminal.
                token = json.dumps(servers.token)
                context.add_init_script(f"localStorage.setItem('heddle-token', {token})")
                context.set_default_timeout(_PATIENCE)
                _picture(context.new_page(), servers.url + view.path, view.ready, FOLDER / f"{name}.png")
                context.close()
                print(name, flush=True)


def _is_wanted(name: str, only: list[str]) -> bool:
    return any(part in name for part in only)


def _picture(page: Page, url: str, ready: str, file: Path) -> None:
    page.goto(url)
    page.wait_for_selector(ready)
    # What is read after the first paint, then fonts and pictures.
    wait_until(page, "!document.querySelector('main .skeleton, .skeleton-lines')")
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)
    page.screenshot(path=file)


if __name__ == "__main__":
    sys.exit(main())
