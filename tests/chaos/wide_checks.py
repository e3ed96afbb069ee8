"""What must be true at every moment of a simulated day. Each check yields the violations."""

from collections import Counter
from collections.abc import Iterator

from heddle import pb
from tests.chaos.failing_places import Sessions
from tests.chaos.fenced_remote import FencedRemote
from tests.chaos.place_faults import Places
from tests.chaos.placed_rows import Epic, Rows

_CONTINUES = frozenset({pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING})


def lost_commits(epic: Epic, remote: FencedRemote) -> Iterator[str]:
    """Every accepted commit of an epic is at the remote."""
    for commit in epic.commits:
        if not remote.has(commit):
            yield f"{epic.name} lost its accepted commit {commit}, which the remote never got"


def sessions_fit(rows: Rows, sessions: Sessions, places: Places) -> Iterator[str]:
    """No place has more sessions than slots."""
    for name, count in _live(rows, sessions).items():
        if count > places.all[name].slots:
            yield f"{name} has {count} sessions"


def cancels_end(rows: Rows, now: int, limit: int) -> Iterator[str]:
    """A cancelled run ends within `limit` ticks, whatever has become of its places."""
    for run in rows.runs.values():
        if run.cancelled_at is not None and now - run.cancelled_at > limit:
            yield f"{run.name} was cancelled {now - run.cancelled_at} ticks ago and has not ended"


def needless_waits(rows: Rows, sessions: Sessions, places: Places, now: int) -> Iterator[str]:
    """Once all decisions are made, no epic that was never placed waits while a worker that it can use is free."""
    used = _live(rows, sessions)
    views = [place.view(now) for place in places.existing()]
    free = [view for view in views if view.takes_work and not view.draining and used[view.name] < view.slots]
    for run in rows.runs.values():
        states = {task.status.state for epic in run.epics.values() for task in epic.tasks}
        goes_on = run.status.state in _CONTINUES and pb.TASK_STATE_FAILED not in states
        if not goes_on or run.live >= run.max_parallel:
            continue
        for epic in run.epics.values():
            ready = epic.status.state == pb.EPIC_STATE_READY and not epic.generation
            if ready and any(epic.labels <= view.labels for view in free):
                yield f"{epic.name} waits although a place is free"


def _live(rows: Rows, sessions: Sessions) -> Counter[str]:
    return Counter(each.place.name for each in sessions.all.values() if rows.is_live(each.attempt))
