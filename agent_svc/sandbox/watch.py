"""Detects what changes around the worktrees of sessions without a sandbox."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_svc.sandbox import outside_changes
from heddle import pb
from heddle.names import AttemptName

# Maximum number of paths in one event.
MOST_PATHS: Final = 20


@dataclass(eq=False)
class Stay:
    """The time that one session runs in its worktree, by the file system's clock (nanoseconds)."""

    attempt: AttemptName
    worktree: Path
    # A folder that the agent does not know. Its file system provides the time.
    folder: Path
    begun: int
    # 0 while the session runs.
    ended: int = 0

    def meets(self, since: int) -> bool:
        """Returns whether the session ran after `since`."""
        return not self.ended or self.ended > since


class Watch:
    """The running sessions of this service, and those that ended after the oldest of them began."""

    def __init__(self) -> None:
        self._stays: list[Stay] = []

    async def begin(self, attempt: AttemptName, worktree: Path, folder: Path) -> Stay:
        """Records that a session is about to start. `folder` is the session's own and unknown to its agent."""
        stay = Stay(attempt, worktree.resolve(), folder, await asyncio.to_thread(outside_changes.now, folder))
        self._stays.append(stay)
        return stay

    async def end(self, stay: Stay) -> pb.SurroundingsChanged | None:
        """Records the end of a session and returns what changed around it, or None if nothing did."""
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
