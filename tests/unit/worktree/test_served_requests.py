"""Which requests of other workers reach git, and the certificates of the server that takes them."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from heddle.names import EpicName
from tests.support import certificates
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.served import listener
from worktree_svc.served.application import Application
from worktree_svc.served.grants import Grant, Grants

PLACE = Grant("/nowhere/app", EpicName("r1", "api"), 1)


class Client:
    """Sends one request with a body that never ends."""

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str]) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.read = 0
        self.answered: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self.read += 1
        # What is refused with a token is read to its end.
        return {"type": "http.request", "body": b"x", "more_body": self.read < 3}

    async def send(self, message: dict[str, Any]) -> None:
        self.answered.append(message)


async def status(application: Application, client: Client) -> int:
    await application(client.scope, client.receive, client.send)
    return int(client.answered[0]["status"])


async def test_without_a_token_nothing_is_read(tmp_path: Path) -> None:
    """A request that names no valid token, or two of them, is answered before its body has come."""
    grants = Grants()
    application = Application(PrivateFolders(tmp_path), grants)
    token = grants.issue(PLACE)
    for said in ("", token, f"Basic {token}", "Bearer ", f"Bearer {token}x", f"bearer {token}"):
        client = Client("POST", f"{PLACE.path}/git-receive-pack", "", {"authorization": said})
        assert await status(application, client) == 401
        assert client.read == 0
    client = Client(
        "GET", f"{PLACE.path}/info/refs", "service=git-upload-pack", {"authorization": f"Bearer {token}"}
    )
    client.scope["headers"] *= 2
    assert await status(application, client) == 401


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/info/refs", "", 404),
        ("GET", "/info/refs", "service=git-upload-pack&x=1", 404),
        ("GET", "/HEAD", "", 404),
        ("GET", "/objects/info/packs", "", 404),
        ("POST", "/git-upload-archive", "", 404),
        ("PUT", "/git-receive-pack", "", 404),
        ("POST", "/../../git-receive-pack", "", 404),
        ("GET", "/git-receive-pack", "", 404),
        # Of these, only the project is missing here.
        ("GET", "/info/refs", "service=git-upload-pack", 503),
        ("POST", "/git-upload-pack", "", 503),
        ("POST", "/git-receive-pack", "", 503),
    ],
)
async def test_only_gits_smart_protocol_is_answered(
    tmp_path: Path, method: str, path: str, query: str, expected: int
) -> None:
    """Files of the repository are never served, and no other service of git."""
    grants = Grants()
    application = Application(PrivateFolders(tmp_path), grants)
    headers = {"authorization": f"Bearer {grants.issue(PLACE)}"}
    assert await status(application, Client(method, f"{PLACE.path}{path}", query, headers)) == expected
    assert await status(application, Client(method, f"/0123456789abcdef.git{path}", query, headers)) == 404


def test_certificates_that_were_replaced_are_used(tmp_path: Path) -> None:
    """New connections have the new certificate and are admitted by the new authority; files that do not match yet are left."""
    tls = certificates.make(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(tls.authority)
    reloading = listener._Reloading(tls, context)
    asyncio.run(reloading())
    assert len(context.get_ca_certs()) == 1
    new = certificates.make(tmp_path / "new")
    tls.certificate.write_bytes(new.certificate.read_bytes())
    asyncio.run(reloading())
    assert len(context.get_ca_certs()) == 1
    tls.key.write_bytes(new.key.read_bytes())
    tls.authority.write_bytes(new.authority.read_bytes())
    asyncio.run(reloading())
    assert len(context.get_ca_certs()) == 2
