"""Commands about the workers of the fleet."""

import json

import pytest

from tests.integration.cli.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_worker_is_listed_and_drained(server: Server) -> None:
    """The list says which workers take work, and a drained one says so until it is undrained."""
    code, table, err = await server.heddle("workers")
    assert (code, err) == (0, "")
    assert "ready" in table
    _, out, _ = await server.heddle("workers", "--json")
    (worker,) = [json.loads(line) for line in out.splitlines()]
    name = worker["name"].removeprefix("workers/")
    code, out, _ = await server.heddle("workers", "drain", name)
    assert (code, out.startswith(f"{name} is drained")) == (0, True)
    assert "drained" in (await server.heddle("workers"))[1]
    code, out, _ = await server.heddle("workers", "undrain", worker["name"])
    assert (code, out) == (0, f"{name} takes work again\n")
    code, _, err = await server.heddle("workers", "drain", "nowhere")
    assert (code, "workers/nowhere does not exist" in err) == (2, True)
