"""Which requests the web app accepts, by origin and host."""

import httpx
import pytest
import socketio  # type: ignore[import-untyped]  # it ships no types
from nicegui import core
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from ui_svc.endpoints.headers import SafeHeaders
from ui_svc.endpoints.origin import LOOPBACK, SameOrigin, accepted_hosts, is_own
from ui_svc.web.nicegui_parts import accept_origins

ANSWER = PlainTextResponse("ok")


async def ask(app: ASGIApp, method: str = "GET", path: str = "/", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    ("method", "host", "origin", "status"),
    [
        ("POST", "127.0.0.1:7403", "http://127.0.0.1:7403", 200),
        ("POST", "localhost:7403", "http://localhost:7403", 200),
        ("POST", "127.0.0.1:7403", "http://evil.example", 403),
        ("POST", "127.0.0.1:7403", "http://127.0.0.1:9999", 403),
        ("POST", "127.0.0.1:7403", "null", 403),
        ("POST", "127.0.0.1:7403", None, 200),
        ("GET", "127.0.0.1:7403", "http://evil.example", 200),
        ("GET", "evil.example", None, 403),
        ("GET", "[::1]:7403", None, 200),
        ("GET", "[broken", None, 400),
        ("GET", "127.0.0.1.", None, 200),
        ("GET", "127.0.0.1@evil.example", None, 400),
        ("GET", "127.0.0.1:7403:7403", None, 400),
        ("GET", "", None, 400),
        ("POST", "127.0.0.1:7403", "http://[", 403),
        ("POST", "127.0.0.1:7403", "http://[::1", 403),
        ("POST", "127.0.0.1:7403", "http://evil.example@127.0.0.1:7403", 403),
        ("POST", "127.0.0.1:7403", "http://127.0.0.1:7403/path", 403),
        ("POST", "127.0.0.1:7403", "127.0.0.1:7403", 403),
    ],
)
async def test_other_sites_can_change_nothing(
    method: str, host: str, origin: str | None, status: int
) -> None:
    """A change requires the page's own origin, and every request a host name of this machine."""
    app = SameOrigin(ANSWER)
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert (await ask(app, method, **headers)).status_code == status


async def test_other_sites_can_open_no_socket() -> None:
    """Any page can open a socket to any address, so the server refuses other origins."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7403"), (b"origin", b"http://evil.example")]
    app = SameOrigin(ANSWER)
    await app({"type": "websocket", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_name_must_be_known_wherever_the_app_listens() -> None:
    """On all addresses, only loopback and configured names are accepted: a foreign name could resolve to any of them."""
    app = SameOrigin(ANSWER, hosts=accepted_hosts("0.0.0.0:7403", ["Heddle.example", "[fd00::1]"]))
    host = "heddle.example"
    assert (await ask(app, "POST", host=host, origin="https://heddle.example")).status_code == 200
    assert (await ask(app, "POST", host=host, origin="https://evil.example")).status_code == 403
    assert (await ask(app, host="localhost:7403")).status_code == 200
    assert (await ask(app, host="[fd00::1]:7403")).status_code == 200
    refused = await ask(app, host="evil.example")
    assert refused.status_code == 403
    assert "HEDDLE_UI_HOSTS" in refused.text


@pytest.mark.parametrize(
    ("listen", "added"),
    [
        ("127.0.0.1:7403", set()),
        ("0.0.0.0:7403", set()),
        ("[::]:7403", set()),
        ("192.0.2.7:7403", {"192.0.2.7"}),
        ("[fd00::1]:7403", {"fd00::1"}),
        ("Box.local:7403", {"box.local"}),
    ],
)
def test_the_host_that_it_listens_on_is_a_name(listen: str, added: set[str]) -> None:
    """The host of a listening address is accepted, unless it stands for every address."""
    assert accepted_hosts(listen, []) == LOOPBACK | added


async def test_a_probe_may_use_any_name() -> None:
    """Probes of Kubernetes name the pod's address, and the answer tells nothing."""
    app = SameOrigin(ANSWER)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7:7403") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/healthz")).status_code == 403
        assert (await client.get("/")).status_code == 403


async def test_two_hosts_are_malformed() -> None:
    """Proxies and apps choose differently from two Host or Origin headers, so neither counts."""
    twice = [("host", "127.0.0.1"), ("host", "evil.example")]
    origins = [("host", "127.0.0.1"), ("origin", "http://127.0.0.1"), ("origin", "http://evil.example")]
    transport = httpx.ASGITransport(SameOrigin(ANSWER))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/", headers=twice)).status_code == 400
        assert (await client.post("/", headers=origins)).status_code == 403


async def test_the_browsers_socket_answers_no_other_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other site may read the socket's answers, with the operator's credentials or without."""
    monkeypatch.setattr(core.sio.eio, "cors_allowed_origins", "*")
    monkeypatch.setattr(core.sio.eio, "cors_credentials", True)
    accept_origins(is_own)
    transport = httpx.ASGITransport(socketio.ASGIApp(core.sio))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
        foreign = await browser.options(
            "/socket.io/?EIO=4&transport=polling", headers={"origin": "http://evil.example"}
        )
        own = await browser.options(
            "/socket.io/?EIO=4&transport=polling", headers={"origin": "http://127.0.0.1"}
        )
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
    assert own.status_code == 200
    assert "access-control-allow-credentials" not in own.headers


async def test_headers_are_added_but_never_replaced() -> None:
    """A response that has its own policy keeps it."""
    strict = PlainTextResponse("", headers={"content-security-policy": "sandbox"})
    assert (await ask(SafeHeaders(strict))).headers["content-security-policy"] == "sandbox"
    headers = (await ask(SafeHeaders(ANSWER))).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_only_pages_of_quasar_may_compile_code() -> None:
    """No page but those that are named may turn text into code."""
    app = SafeHeaders(ANSWER, compiling=["/workers"])
    policies = {
        path: (await ask(app, path=path)).headers["content-security-policy"] for path in ("/", "/workers")
    }
    assert {path: "'unsafe-eval'" in policy for path, policy in policies.items()} == {
        "/": False,
        "/workers": True,
    }
