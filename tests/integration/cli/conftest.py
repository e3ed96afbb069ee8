from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from heddle.cli.admin.ports import Endpoints
from tests.integration.cli.server import Server
from tests.support.commands import running
from tests.support.ports import free_base


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    endpoints = Endpoints(free_base(), folder / "home")
    env = {"HEDDLE_HOME": str(folder / "home"), "HEDDLE_SCHEDULER": endpoints.scheduler.address}
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        yield Server(up, env, folder)
        up.interrupt()
        assert await up.exit_code() == 0
        assert "Traceback" not in up.err
