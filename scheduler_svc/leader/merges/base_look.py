"""Finds out from time to time how far the epics of a run are behind the project's branch."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import RunName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model import base_sync
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, ENDED_RUN, OPEN_TASK
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import all_task_rows, epics_of_run, is_open, run_row
from scheduler_svc.store.rows import runs

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class _Scene:
    """What to ask the worker of a run: the branch, and what each epic with tasks left contains."""

    worker: str
    project: str
    branch: str
    held: dict[str, tuple[str, ...]]
    known: pb.BaseState

    def request(self, held: Iterable[tuple[str, ...]]) -> pb.CountNewCommitsRequest:
        return pb.CountNewCommitsRequest(
            project=self.project, branch=self.branch, held=[pb.CommitSet(commits=each) for each in held]
        )


class BaseLooks:
    """Looks at the branches of runs during one leader's term."""

    def __init__(self, term: Term) -> None:
        self._term = term
        # By run: the commit of the branch, and what its epics contained.
        self._seen: dict[RunName, tuple[str, dict[str, tuple[str, ...]]]] = {}

    def forget_all_but(self, runs: Iterable[str]) -> None:
        """Forgets what was seen of runs that have ended."""
        kept = set(runs)
        self._seen = {name: seen for name, seen in self._seen.items() if name.run in kept}

    async def look(self, run: RunName) -> None:
        """Stores how far the run's epics are behind; an event reports new commits. Only logs an error."""
        scene = await self._term.read(partial(_scene, name=run))
        if scene is None:
            return
        try:
            worker = self._term.workers.get(scene.worker)
            method = worker.worktree.CountNewCommits
            commit = (await call(worker.name, method, scene.request(()), _TIMEOUT)).commit
            if not commit or self._seen.get(run) == (commit, scene.held):
                return
            # Equal sets are counted once.
            sets = list(dict.fromkeys(scene.held.values()))
            answer = await call(worker.name, method, scene.request(sets), _TIMEOUT)
        except HeddleError as error:
            log.warning("base_not_looked_at", run=str(run), error=error.message)
            return
        counted = dict(zip(sets, answer.counts, strict=False))
        counts = {epic: counted.get(each, 0) for epic, each in scene.held.items()}
        new = base_sync.state_of(scene.branch, answer.commit, counts)
        write = partial(_record, name=run, new=new, seen=scene.known, now=self._term.now())
        if new != scene.known:
            await self._term.write("record_base", write, str(run))
        self._seen[run] = (commit, scene.held)


def _scene(connection: Connection, name: RunName) -> _Scene | None:
    """Returns what to ask; None if the run has ended, follows no branch, or has no tasks left."""
    run = run_row(connection, name)
    branch = base_sync.branch_of(run)
    if not branch or run.draft or run.state in ENDED_RUN:
        return None
    left = {each.epic for each in all_task_rows(connection, name) if each.state in OPEN_TASK}
    held: dict[str, tuple[str, ...]] = {}
    for epic in epics_of_run(connection, name):
        if epic.epic not in left or epic.state in ENDED_EPIC:
            continue
        depends = bool(pb.PlanEpic.FromString(epic.spec).depends_on)
        own = epic.head_commit or (depends and run.head_commit) or run.base_commit
        taken_in = pb.EpicSync.FromString(epic.sync or b"").commit
        # Of an epic on another worker, only what it has of the branch need be here.
        known = (own, epic.start_commit, taken_in, run.base_commit)
        held[epic.epic] = tuple(dict.fromkeys(filter(None, known)))
    if not held:
        return None
    return _Scene(run.worker, run.project, branch, held, pb.BaseState.FromString(run.base_state or b""))


def _record(connection: Connection, name: RunName, new: pb.BaseState, seen: pb.BaseState, now: int) -> None:
    """Stores the state, unless the run has ended, or another state was stored since: then the next look decides."""
    if not is_open(connection, name.run):
        return
    stored = run_row(connection, name).base_state
    if pb.BaseState.FromString(stored or b"") != seen:
        return
    runs.change(connection, name, base_state=new.SerializeToString())
    if new.behind and new.commit != seen.commit:
        moved = pb.BaseMoved(branch=new.branch, commit=new.commit, epics=[each.epic for each in new.behind])
        append(connection, [event(name, "scheduler", base_moved=moved)], now)
