"""How the leader cleans up worktrees."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from heddle.names import EpicName, RunName
from scheduler_svc.leader import cleanup
from scheduler_svc.store.rows.retention.run_retention import Retention


class Term:
    """A leader's term with worktrees to clean."""

    retention = Retention(worktrees=0, logs=0, audit=0)

    def __init__(self, count: int) -> None:
        self._rows = [SimpleNamespace(epic=f"e{number}") for number in range(count)]

    async def read(self, _: object) -> list[Any]:
        return self._rows

    def now(self) -> int:
        return 1


@pytest.mark.parametrize(("count", "most"), [(3, 3), (4, 4), (5, 4), (20, 4)])
async def test_a_few_worktrees_at_a_time(monkeypatch: pytest.MonkeyPatch, count: int, most: int) -> None:
    """At most four worktrees are cleaned up at the same time; all problems are returned, in order."""
    now, peak = 0, 0

    async def clean_epic(_: object, name: EpicName, __: object) -> str:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        # Lets others begin if they may.
        for _turn in range(5):
            await asyncio.sleep(0)
        now -= 1
        return "" if name.epic == "e0" else f"{name}: busy"

    monkeypatch.setattr(cleanup, "_clean_epic", clean_epic)
    problems = await cleanup.clean(cast("Any", Term(count)), RunName("r"))
    assert peak == most
    assert problems == [f"runs/r/epics/e{number}: busy" for number in range(1, count)]
