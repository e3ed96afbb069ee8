"""Commands for who may use Heddle."""

import json
import re

import pytest

from tests.integration.cli.server import QUICK, Server
from tests.support.commands import run

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_token_works_until_it_is_revoked(server: Server) -> None:
    """Another program signs in with the secret of a token; once revoked, it is refused and told what to do."""
    code, secret, err = await server.heddle("tokens", "create", "builds", "--user", "ci", "--role", "viewer")
    assert code == 0, err
    assert "user:ci" in err
    stranger = {**server.env, "HEDDLE_HOME": "/nowhere", "HEDDLE_TOKEN": secret.strip()}
    assert (await run("ls", env=stranger))[0] == 0
    code, _, err = await run("lift", "anthropic", env=stranger)
    assert (code, "needs the role operator" in err) == (2, True)
    _, out, _ = await server.heddle("tokens", "list", "--json")
    (token,) = [each for line in out.splitlines() if (each := json.loads(line))["user"] == "user:ci"]
    assert (token["title"], token["role"]) == ("builds", "ROLE_VIEWER")
    _, table, _ = await server.heddle("tokens", "list")
    assert "user:ci" in table
    assert secret.strip() not in out + table
    assert (await server.heddle("tokens", "revoke", token["name"]))[0] == 0
    code, _, err = await run("ls", env=stranger)
    assert code == 2
    assert "unknown, expired or revoked" in err
    assert "heddle token" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "x", "--role", "boss"), "viewer, operator, admin"),
        (("create", "x", "--expires", "soon"), "not a valid duration"),
        (("create", "x", "--user", "a b"), "user"),
        (("revoke", "none"), "tokens/none does not exist"),
    ],
)
async def test_a_malformed_request_for_a_token_is_explained(
    server: Server, arguments: tuple[str, ...], words: str
) -> None:
    """The error names what is wrong, and nothing is created."""
    code, out, err = await server.heddle("tokens", *arguments)
    assert code
    assert out == ""
    assert words in err
    assert "Traceback" not in err


async def test_changes_are_in_the_audit_log(server: Server) -> None:
    """The log has who created a run, when, and what was refused; it can be exported."""
    name = await server.begin(QUICK)
    await run("ls", env={**server.env, "HEDDLE_HOME": "/nowhere"})
    code, out, err = await server.heddle("audit", "--json", "--limit", "20")
    assert code == 0, err
    entries = [json.loads(line) for line in out.splitlines()]
    (created,) = [each for each in entries if each.get("resource") == f"runs/{name}"]
    assert created["method"] == "SchedulerService.CreateRun"
    assert any("no token" in each.get("refusal", "") for each in entries)
    _, table, _ = await server.heddle("audit")
    assert re.search(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +user:\S+ +CreateRun +runs/{name}", table)


async def test_open_prints_a_link(server: Server) -> None:
    """The link leads to the board of the scheduler and is different each time."""
    port = int(server.env["HEDDLE_SCHEDULER"].rpartition(":")[2]) + 3
    links = {(await server.heddle("open"))[1].strip() for _ in range(2)}
    assert len(links) == 2
    assert all(link.startswith(f"http://127.0.0.1:{port}/sign-in?code=heddle_") for link in links)
    assert (await server.heddle("open", "--board", "https://heddle.example.com/"))[1].startswith(
        "https://heddle.example.com/sign-in?code="
    )


async def test_the_token_is_printed_for_other_programs(server: Server) -> None:
    """`heddle token` prints the operator's token; without one it says how to get one."""
    code, out, _ = await server.heddle("token")
    assert (code, out.startswith("heddle_")) == (0, True)
    code, out, err = await run("token", env={**server.env, "HEDDLE_HOME": "/nowhere"})
    assert (code, out) == (1, "")
    assert "heddle up" in err
