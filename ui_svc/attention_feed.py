"""The feed behind the count in every page's bar."""

import asyncio
import time
from typing import Final

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.names import ANY, AttemptName
from ui_svc import attention, views
from ui_svc.attention import RunParts
from ui_svc.feed import Feed
from ui_svc.rooms import Rooms
from ui_svc.views import View

# The newest runs are looked through for failures.
RUNS_LOOKED_AT: Final = 100

# A run's parts are read again when these change.
_Stand = tuple[object, ...]


class AttentionFeed(Feed):
    """What waits for a human, asked for again and again while any page is open."""

    again = 1.0

    def __init__(self, client: HeddleClient, rooms: Rooms) -> None:
        super().__init__(rooms, "heddle_attention", "attention")
        self._client = client
        self._items: list[View] = []
        self._told: list[View] | None = None
        self._known: dict[str, tuple[_Stand, RunParts]] = {}

    async def _read_once(self) -> None:
        page, approvals = await asyncio.gather(
            self._client.list_runs(page_size=RUNS_LOOKED_AT), self._client.list_approvals()
        )
        now = time.time()
        runs = {run.name: run for run in page.runs}
        asking = {_run_of(each) for each in approvals}
        failing = {name for name, run in runs.items() if attention.may_have_failures(run, now)}
        parts = {name: await self._parts(name, runs.get(name)) for name in asking | failing}
        self._known = {name: known for name, known in self._known.items() if name in parts}
        items = [attention.question(each, parts[_run_of(each)]) for each in approvals]
        for name in failing:
            found = parts[name]
            items += attention.failures(found, now) if found else []
        self._items = attention.oldest_first(items)
        self._answerable.set()
        self._touch()

    async def _parts(self, name: str, run: pb.Run | None) -> RunParts | None:
        """Returns what is known of a run; read again only when one of its tasks has moved on."""
        try:
            run = run or await self._client.get_run(name)
            stand = (run.state, *views.counts(run.tasks).values())
            known = self._known.get(name)
            if known is None or known[0] != stand:
                epics = await self._client.list_epics(name)
                tasks = await self._client.list_tasks(f"{name}/epics/{ANY}")
                whole = RunParts(
                    run, {each.name: each for each in epics}, {each.name: each for each in tasks}
                )
                known = self._known[name] = (stand, whole)
        except errors.HeddleError:
            # It vanished meanwhile.
            return None
        return known[1]

    def _take_changes(self) -> View:
        if self._items == self._told:
            return {}
        self._told = self._items
        return {"items": self._items}

    def _content(self) -> View:
        return {"items": self._items}


def _run_of(approval: pb.Approval) -> str:
    return str(AttemptName.parse(approval.attempt).parent.parent.parent)
