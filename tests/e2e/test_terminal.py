"""A terminal in a worktree and links to a session's servers: for those who may, and no one else."""

import asyncio
import json
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import pytest
from playwright.sync_api import Page, expect

from heddle import pb
from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.test_accessibility import grave_violations
from tests.support.repositories import make_repository

T = TypeVar("T")

PLAN: Final = """
name: Shop window
epics:
  - key: web
    title: A shop window
    tasks: [{key: t, title: Serve it, prompt: Do it., script: [{say: I serve., }, {wait: 30m}]}]
"""
TASK: Final = "epics/web/tasks/t/attempts/1"


@pytest.fixture(scope="module")
def run(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run whose only epic leases two ports, while its session works."""
    repository = make_repository(
        tmp_path_factory.mktemp("project") / "window", {".heddle.yaml": "ports: 2\n"}
    )
    runs = Runs(servers.url, servers.token, repository)
    name = runs.start(PLAN)
    runs.wait_for(f"{name}/{TASK}", "running")
    yield name
    runs.cancel(name)


def outside(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in another thread: the browser's driver has its own event loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def sign_in(page: Page, servers: Servers) -> None:
    """Stores what a sign-in stores for changes."""
    page.goto("/healthz")
    page.evaluate("token => localStorage.setItem('heddle-token', token)", servers.token)


class Heard(BaseHTTPRequestHandler):
    """A session's server, which remembers the cookies of its visitors."""

    cookies: Final[list[str | None]] = []

    def do_GET(self) -> None:
        self.cookies.append(self.headers.get("Cookie"))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Window</title><h1>The shop window</h1>")

    def log_request(self, *_: object) -> None:
        """Logs nothing."""


def test_a_session_s_server_is_opened_from_its_card(page: Page, run: str) -> None:
    """Card and session link to the ports of the epic; the server that answers there gets no cookie of the board."""
    page.goto(f"/{run}")
    link = page.locator(".card-preview").first
    address = link.get_attribute("href")
    assert address is not None
    assert address.startswith("http://localhost:")
    port = int(address.rstrip("/").rpartition(":")[2])
    server = ThreadingHTTPServer(("127.0.0.1", port), Heard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with page.context.expect_page() as opened:
            link.click()
        expect(opened.value.get_by_role("heading", name="The shop window")).to_be_visible()
        opened.value.close()
    finally:
        server.shutdown()
        server.server_close()
    assert Heard.cookies
    assert set(Heard.cookies) == {None}
    page.locator(".card-link").click()
    page.get_by_role("button", name="Workspace").click()
    expect(page.get_by_role("link", name=f"localhost:{port}")).to_have_attribute("href", address)


def test_an_admin_works_in_a_terminal(page: Page, run: str, servers: Servers) -> None:
    """From a session, a terminal opens in the worktree; it is left by a key, ends with its shell, and opens again."""
    sign_in(page, servers)
    page.goto(f"/{run}/{TASK}")
    page.get_by_role("button", name="Workspace").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Terminal").click()
    terminal = opened.value
    complaints: list[str] = []
    terminal.on("pageerror", lambda error: complaints.append(str(error)))
    status = terminal.locator(".terminal-state")
    expect(status).to_have_text("Open")
    screen = terminal.locator(".xterm-accessibility-tree")
    terminal.keyboard.type("echo $(basename $PWD) ter''minal\n")
    expect(screen).to_contain_text("web terminal")
    assert grave_violations(terminal) == []
    terminal.keyboard.press("F6")
    expect(terminal.get_by_role("link", name="Close", exact=True)).to_be_focused()
    terminal.set_viewport_size({"width": 390, "height": 844})
    assert terminal.evaluate("document.documentElement.scrollWidth") <= 390
    terminal.locator(".xterm-helper-textarea").focus()
    terminal.keyboard.type("tput cols > columns; exit\n")
    expect(status).to_have_text("The shell has ended")
    terminal.get_by_role("button", name="Open again").click()
    expect(status).to_have_text("Open")
    terminal.keyboard.type("test $(cat columns) -lt 60 && echo nar''row; rm columns\n")
    expect(screen).to_contain_text("narrow")
    terminal.close()
    assert complaints == []


async def _ended(servers: Servers, path: str, first: str | bytes, **options: Any) -> tuple[int | None, str]:
    """Opens a socket and sends a message; returns the code with which it was closed, and why the terminal ended."""
    said = ""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(servers.url + path, **options) as socket,
    ):
        await (socket.send_str(first) if isinstance(first, str) else socket.send_bytes(first))
        async with asyncio.timeout(60):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    said = json.loads(message.data)["ended"]
        return socket.close_code, said


def _first(token: str, **values: object) -> str:
    return json.dumps({"token": token, "columns": 80, "rows": 24} | values)


def test_no_one_else_opens_a_terminal(servers: Servers, run: str) -> None:
    """Other roles, other sites, a cookie alone, malformed messages and tricks with the path get no terminal."""
    path = f"/api/{run}/epics/web/terminal"
    own = {"Authorization": f"Bearer {servers.token}"}

    async def made(role: "pb.Role.ValueType") -> str:
        async with servers.client() as client:
            return (await client.create_token(pb.CreateTokenRequest(user="eve", role=role))).secret

    operator = outside(made(pb.ROLE_OPERATOR))
    for first, why in (
        (_first(operator), "needs the role admin"),
        (_first(""), "has no token"),
        (_first("heddle_wrong"), "unknown, expired or revoked"),
        (_first(servers.token, columns=0), "columns and rows"),
    ):
        code, said = outside(_ended(servers, path, first, headers=own))
        assert (code, why in said) == (1000, True), (first, said)
    for malformed in ("", "[]", "[" * 4000, "{}", _first(servers.token, rows="x"), "x" * 5000):
        assert outside(_ended(servers, path, malformed, headers=own))[0] == 4400, malformed
    for elsewhere in (
        "/api/runs/x/epics/web/terminal",
        f"/api/{run}/epics/none/terminal",
        f"/api/{run}/epics/web;id/terminal",
    ):
        code, said = outside(_ended(servers, elsewhere, _first(servers.token), headers=own))
        assert (code, bool(said)) == (1000, True), elsewhere
    refused = [
        (path, {}),
        (path, own | {"Origin": "http://evil.example"}),
        (path, own | {"Host": "evil.example"}),
        (f"/api/{run}/epics/..%2f..%2fx/terminal", own),
        (f"/api/{run}/epics/%2Fetc/terminal", own),
    ]
    for elsewhere, headers in refused:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            outside(_ended(servers, elsewhere, _first(servers.token), headers=headers))


def _read(pipe: int) -> bytes | None:
    """Returns what has been written to a pipe; empty: no process has it open, None: nothing new."""
    try:
        return os.read(pipe, 100)
    except BlockingIOError:
        return None


def test_a_revoked_person_loses_the_terminal(servers: Servers, run: str) -> None:
    """Soon after the token is revoked, the socket is closed, and its shell and what it started are gone."""

    async def session() -> int | None:
        async with servers.client() as admin:
            made = await admin.create_token(pb.CreateTokenRequest(user="ada", role=pb.ROLE_ADMIN))
            (epic,) = await admin.list_epics(run)
            # A pipe that the shell and what it starts hold open.
            pipe = Path(epic.worktree_path) / "open-terminal"
            os.mkfifo(pipe)
            reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            headers = {"Authorization": f"Bearer {made.secret}"}
            url = f"{servers.url}/api/{run}/epics/web/terminal"
            async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers) as socket:
                await socket.send_str(_first(made.secret))
                await socket.send_bytes(f"exec 9> {pipe.name}; sleep 600 & echo held >&9\n".encode())
                async with asyncio.timeout(60):
                    while _read(reader) != b"held\n":  # noqa: ASYNC110 (another process writes it)
                        await asyncio.sleep(0.05)
                    await admin.revoke_token(made.token.name)
                    async for _ in socket:
                        pass
                    while _read(reader) is None:  # noqa: ASYNC110 (other processes hold it)
                        await asyncio.sleep(0.05)
                os.close(reader)
                pipe.unlink()
                return socket.close_code

    code = outside(session())
    assert code in {1000, 4401}
