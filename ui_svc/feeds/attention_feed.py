"""The feed for the number of open items in every page's bar."""

import asyncio
import time
from typing import Final

from heddle import errors, operator_queue, pb
from heddle.client import ENDED_RUN, HeddleClient
from heddle.names import ANY, AttemptName
from ui_svc import views
from ui_svc.feeds.feed import Feed
from ui_svc.feeds.rooms import Rooms
from ui_svc.views import View, attention
from ui_svc.views.attention import RunParts

# Seconds between two reads of an active run's epics, for conflicts that the run itself does not show.
EPICS_AGAIN: Final = 5.0

# The state of a run. When it changes, the run's parts are read again.
_Stand = tuple[object, ...]


class AttentionFeed(Feed):
    """The items that wait for a human; updated after a run changes, while a page is open."""

    def __init__(self, client: HeddleClient, rooms: Rooms) -> None:
        super().__init__(rooms, "heddle_attention", "attention")
        self._client = client
        self._items: list[View] = []
        # Providers that are on hold.
        self._holds: list[View] = []
        self._told: View | None = None
        self._runs: dict[str, pb.Run] = {}
        self._known: dict[str, tuple[_Stand, RunParts]] = {}
        # By run: the event and time at which its epics were read, and the epics that conflict.
        self._conflicts: dict[str, tuple[int, float, list[View]]] = {}
        # For each run that a budget paused: how far its log was read, and the newest budget event in it.
        self._halts: dict[str, tuple[int, pb.Event | None]] = {}

    async def _read_once(self) -> None:
        async for response in self._client.watch_runs(
            newest=operator_queue.RUNS_LOOKED_AT, on_break=self._broke
        ):
            self._runs |= {run.name: run for run in response.runs}
            # A checkpoint comes every few seconds, which also drops expired items.
            if response.complete:
                await self._look()

    async def _look(self) -> None:
        approvals = await self._client.list_approvals() if self._anybody_asks() else []
        now = time.time()
        asking = {_run_of(each) for each in approvals}
        choosing = {name for name, run in self._runs.items() if run.tasks.waiting}
        failing = {name for name, run in self._runs.items() if attention.may_have_failures(run, now)}
        unchanged = {name for name, run in self._runs.items() if attention.may_have_unchanged(run, now)}
        parts = {name: await self._parts(name) for name in asking | choosing | failing | unchanged}
        self._known = {name: known for name, known in self._known.items() if name in parts}
        items = [attention.question(each, parts[_run_of(each)]) for each in approvals]
        items += [item for name in choosing if (found := parts[name]) for item in attention.choices(found)]
        for run in [run for run in self._runs.values() if operator_queue.may_hold_merges(run, now)]:
            items += await self._conflicting(run, now)
        items += [
            attention.lack(run) for run in self._runs.values() if operator_queue.lacks_something(run, now)
        ]
        broken = {item["run"] for item in items if item["kind"] in {"conflict", "push"}}
        for name in failing:
            found = parts[name]
            items += attention.failures(found, now, told=name in broken) if found else []
        items += [item for name in unchanged if (found := parts[name]) for item in attention.unchanged(found)]
        halted = [run for run in self._runs.values() if operator_queue.is_halted(run)]
        items += [attention.refusal(run) for run in halted if run.held_by]
        items += [attention.halt(run, await self._reached(run)) for run in halted if not run.held_by]
        items += [attention.held(run) for run in self._runs.values() if operator_queue.is_held(run)]
        self._holds = [views.hold(each) for each in await self._client.list_holds()]
        self._items = attention.oldest_first(items)
        self._answerable.set()
        self._touch()

    def _anybody_asks(self) -> bool:
        return any(run.tasks.waiting for run in self._runs.values())

    async def _conflicting(self, run: pb.Run, now: float) -> list[View]:
        """Returns the epics of a run that have merge conflicts.

        Reads them again only after the run has changed.
        """
        sequence, read_at, found = self._conflicts.get(run.name, (0, 0.0, []))
        if sequence != run.sequence and (run.state in ENDED_RUN or now - read_at >= EPICS_AGAIN):
            epics = await self._client.list_epics(run.name)
            found = list(attention.conflicts(run, epics))
            self._conflicts[run.name] = (run.sequence, now, found)
        return found

    async def _parts(self, name: str) -> RunParts | None:
        """Returns a run with its epics and tasks, None if it was removed.

        Reads them again only after a state changed.
        """
        try:
            run = self._runs.get(name) or await self._client.get_run(name)
            state = (run.state, run.reason, *views.counts(run.tasks).values())
            known = self._known.get(name)
            if known is None or known[0] != state:
                epics, tasks = await asyncio.gather(
                    self._client.list_epics(name), self._client.list_tasks(f"{name}/epics/{ANY}")
                )
                whole = RunParts(
                    run, {each.name: each for each in epics}, {each.name: each for each in tasks}
                )
                known = self._known[name] = (state, whole)
        except errors.HeddleError:
            # The run was removed in the meantime.
            return None
        return known[1]

    async def _reached(self, run: pb.Run) -> pb.Event | None:
        """Returns the newest event about a used-up budget; reads each part of the log once."""
        after, found = self._halts.get(run.name, (0, None))
        if after < run.sequence:
            async for event in self._client.list_events(run.name, after=after):
                after = event.sequence
                found = event if event.HasField("budget_reached") else found
            self._halts[run.name] = (after, found)
        return found

    def _take_changes(self) -> View:
        if self._content() == self._told:
            return {}
        self._told = self._content()
        return self._told

    def _content(self) -> View:
        return {"items": self._items, "holds": self._holds}


def _run_of(approval: pb.Approval) -> str:
    return str(AttemptName.parse(approval.attempt).parent.parent.parent)
