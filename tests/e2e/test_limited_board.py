"""The board of someone whose token is limited to a project: nothing of other projects is in any answer or feed."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import socketio  # type: ignore[import-untyped]  # the package has no types
from playwright.sync_api import Browser, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.support.repositories import make_repository

T = TypeVar("T")

PLAN: Final = """\
name: My own run
epics:
  - key: mine
    tasks:
      - key: one
        prompt: Work.
        agent: scripted
        script:
          - say: Done.
"""


def _outside(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in another thread: the browser's driver has its own event loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


class Viewer:
    """Someone with a token of their own."""

    def __init__(self, servers: Servers, token: str) -> None:
        self.servers = servers
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> tuple[int, str]:
        """Returns the status and the body of an answer of the web app."""
        request = urllib.request.Request(self.servers.url + path, headers=self.headers)  # noqa: S310 (loopback)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (loopback)
                return int(answer.status), answer.read().decode("latin-1")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("latin-1")

    def look_at(self, *asked: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the snapshots that a page gets over its socket."""

        async def look() -> list[dict[str, Any]]:
            async with socketio.AsyncSimpleClient() as client:
                path = "/_nicegui_ws/socket.io"
                await client.connect(
                    self.servers.url, headers=self.headers, socketio_path=path, transports=["websocket"]
                )
                return [await client.call(event, data, timeout=60) for event, data in asked]

        return _outside(look())


@pytest.fixture(scope="module")
def limited(servers: Servers, own_project: Path) -> Viewer:
    return Viewer(servers, servers.limited_token(own_project))


@pytest.fixture(scope="module")
def own_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("project") / "own", {"own.py": "print('own')\n"})


@pytest.fixture(scope="module")
def own_run(servers: Servers, own_project: Path) -> str:
    runs = Runs(servers.url, servers.token, own_project)
    name = runs.start(PLAN)
    runs.wait_for_run(name, "succeeded", "failed")
    return name


def _pages(busy: str, artifact: str) -> list[str]:
    task = f"{busy}/epics/search/tasks/index"
    attempt = f"{task}/attempts/1"
    of_run = [
        "turns",
        "turns?of=history",
        "conflicts",
        "disk",
        "diff",
        "epics/search/tasks",
        "epics/search/diff",
    ]
    of_attempt = ["", "/budgets", "/events", "/log.txt", "/log.jsonl", "/diff", f"/artifacts/{artifact}"]
    costs = ["", "?parent=-", f"?parent={busy}", f"?parent={task}"]
    return [
        "/api/runs",
        *(f"/api/{busy}/{path}" for path in of_run),
        *(f"/api/{attempt}{path}" for path in of_attempt),
        *(f"/api/costs{query}" for query in costs),
    ]


def test_nothing_of_another_project_is_served(
    servers: Servers, busy: str, runs: Runs, own_run: str, limited: Viewer
) -> None:
    """Lists omit the runs of other projects, and whatever is of such a run is refused, its pictures included."""
    events = runs.get(f"{busy}/epics/search/tasks/index/attempts/1/events")["events"]
    artifact = next(event["artifact"] for event in events if event.get("artifact"))
    everything = Viewer(servers, servers.token)
    seen = 0
    for path in _pages(busy, artifact):
        status, body = limited.get(path)
        assert busy.removeprefix("runs/") not in body.replace(path, "")
        assert str(runs.repository) not in body
        lists = path in {"/api/runs", "/api/costs", "/api/costs?parent=-"}
        assert status == (200 if lists else 403), path
        seen += everything.get(path)[0] == 200
    assert seen == len(_pages(busy, artifact))
    assert own_run.removeprefix("runs/") in limited.get("/api/runs")[1]
    assert limited.get(f"/api/{own_run}/turns")[0] == 200


def _runs_in(rows: list[dict[str, Any]], field: str) -> set[str]:
    return {row[field] for row in rows if field in row}


def test_feeds_have_the_own_projects_only(
    busy: str, deep: str, runs: Runs, own_run: str, limited: Viewer
) -> None:
    """Snapshots of runs, attention, a run and a session contain nothing of others, and no feed is shared with others."""
    attempt = f"{busy}/epics/search/tasks/index/attempts/1"
    asked: list[tuple[str, dict[str, Any]]] = [
        ("heddle_look_at_runs", {"name": "runs"}),
        ("heddle_look_at_attention", {"name": "attention"}),
        ("heddle_look_at_run", {"name": busy}),
        ("heddle_look_at_session", {"name": attempt, "after": 0}),
    ]
    everyone = Viewer(limited.servers, limited.servers.token)
    of_all = everyone.look_at(*asked)
    # A feed that others have opened before may not have the newest question and run yet.
    give_up = time.monotonic() + 60
    while not (
        _runs_in(of_all[0]["runs"], "name") >= {busy, deep, own_run}
        and deep in _runs_in(of_all[1]["items"], "run")
    ):
        assert time.monotonic() < give_up, of_all[:2]
        time.sleep(0.2)
        of_all = everyone.look_at(*asked)
    of_own = limited.look_at(*asked, ("heddle_look_at_run", {"name": own_run}))
    assert of_all[2]["run"]["name"] == busy
    assert [run["name"] for run in of_own[0]["runs"]] == [own_run]
    assert {item["run"] for item in of_own[1]["items"]} <= {own_run}
    assert of_own[2]["run"] is None
    assert "limited" in of_own[2]["failure"]
    assert of_own[4]["run"]["name"] == own_run
    told = json.dumps(of_own).replace(busy, "")
    assert str(runs.repository) not in told
    assert deep not in told
    assert not {each["feed"] for each in of_all} & {each["feed"] for each in of_own}


@pytest.mark.usefixtures("own_run")
def test_a_limited_token_opens_the_board(
    browser: Browser, servers: Servers, own_project: Path, busy: str
) -> None:
    """Its link signs a browser in; the list shows the project's runs, and a run of another is not shown."""

    async def code() -> str:
        async with servers.client(token) as client:
            return (await client.create_sign_in_code()).code

    token = servers.limited_token(own_project)

    with browser.new_context(base_url=servers.url) as context:
        context.set_default_timeout(45_000)
        page = context.new_page()
        page.goto(f"/sign-in?code={_outside(code())}")
        expect(page.get_by_text("My own run")).to_be_visible()
        assert busy.removeprefix("runs/") not in page.content()
        page.goto(f"/{busy}")
        expect(page.get_by_text("limited to")).to_be_visible()
        assert "Settings page" not in page.content()
