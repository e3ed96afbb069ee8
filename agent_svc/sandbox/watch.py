"""Watches what sessions without a sandbox leave around their worktrees."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_svc.sandbox import outside_changes
from heddle import pb
from heddle.names import AttemptName

# Paths that an event names.
MOST_PATHS: Final = 20


@dataclass(eq=False)
class Stay:
    """One session in its worktree, in the file system's time (nanoseconds)."""

    attempt: AttemptName
    worktree: Path
    # A folder that the agent does not know; the clock of its file system gives the time.
    folder: Path
    begun: int
    # 0 while it lasts.
    ended: int = 0

    def meets(self, since: int) -> bool:
        """Says whether it lasted beyond `since`."""
        return not self.ended or self.ended > since


class Watch:
    """The sessions of this service that ran, as far back as one that still runs."""

    def __init__(self) -> None:
        self._stays: list[Stay] = []

    async def begin(self, attempt: AttemptName, worktree: Path, folder: Path) -> Stay:
        """Notes that a session is about to start; `folder` is one of its own that its agent does not know."""
        stay = Stay(attempt, worktree.resolve(), folder, await asyncio.to_thread(outside_changes.now, folder))
        self._stays.append(stay)
        return stay

    async def end(self, stay: Stay) -> pb.SurroundingsChanged | None:
        """Returns what changed around a session that has ended; None if nothing did."""
        others = [each for each in self._stays if each is not stay and each.meets(stay.begun)]
        busy = {each.worktree for each in others}
        found = await asyncio.to_thread(
            outside_changes.changed, stay.worktree, stay.begun, lambda folder: folder.resolve() in busy
        )
        stay.ended = await asyncio.to_thread(outside_changes.now, stay.folder)
        self._forget()
        if not found:
            return None
        also = sorted({str(each.attempt) for each in others})
        return pb.SurroundingsChanged(paths=found[:MOST_PATHS], count=len(found), also_running=also)

    def _forget(self) -> None:
        oldest = min((each.begun for each in self._stays if not each.ended), default=None)
        self._stays = [each for each in self._stays if oldest is not None and each.meets(oldest)]
