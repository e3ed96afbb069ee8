"""Shows agents the branches and tags of their projects as they are now, while they work."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from heddle.errors import HeddleError
from heddle.files.worktree_paths import view_of
from worktree_svc.git import worktree_views
from worktree_svc.projects.locks import KeyedExecutor
from worktree_svc.storage.worktree_store import WorktreePaths, WorktreeState, WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between rounds, and the pause as a multiple of the last round's duration: at most 1/50 of one core.
_PAUSE: Final = 1.0
_REST: Final = 50


class RefUpdates:
    """Renews the refs in the views of all worktrees after the refs of their projects have changed."""

    def __init__(self, store: WorktreeStore, executor: KeyedExecutor) -> None:
        self._store = store
        self._executor = executor
        # What each view shows.
        self._shown: dict[Path, bytes] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the rounds, in this thread's event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the rounds. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        pause = _PAUSE
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                for paths, refs in await self._executor.run(self._changed):
                    # Not at the same time as a call that resets or removes the worktree.
                    await self._executor.run(partial(self._show, paths), key=str(paths.epic))
                    self._shown[paths.worktree] = refs
            except (HeddleError, OSError) as error:
                log.warning("refs_not_shown", error=str(error))
            pause = max(_PAUSE, _REST * (time.monotonic() - began))

    def _changed(self) -> list[tuple[WorktreePaths, bytes]]:
        """Returns the worktrees whose projects have other refs than their views show, with these refs."""
        stamps: dict[Path, bytes] = {}
        changed = []
        existing = list(self._store.all())
        for paths, state in existing:
            if state.common is None:
                continue
            if state.common not in stamps:
                stamps[state.common] = worktree_views.stamp_of_refs(state.common)
            if self._shown.get(paths.worktree) != stamps[state.common]:
                changed.append((paths, stamps[state.common]))
        for gone in self._shown.keys() - {paths.worktree for paths, _ in existing}:
            del self._shown[gone]
        return changed

    def _show(self, paths: WorktreePaths) -> None:
        state: WorktreeState | None = self._store.load(paths)
        view = view_of(paths.worktree)
        if state and state.common and (view / "packed-refs").is_file():
            worktree_views.show_refs(view, state.common)
