"""The cluster of the pool's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.pods import Bench, bench


@pytest.fixture
async def pods(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as found:
        yield found
