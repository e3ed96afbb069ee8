"""Reads the merges to perform, and writes their outcomes. Every write is idempotent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from heddle import pb, urls
from heddle.names import EpicName, RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import epics as epics_table
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.rows import epics, runs
from scheduler_svc.store.rows.unpushed_branches import note_pushes

_ACTOR: Final = "scheduler"

# An epic is merged into its run's branch, a run into its user's branch.
Name: TypeAlias = EpicName | RunName


@dataclass(frozen=True)
class Source:
    """A branch to merge."""

    name: Name
    subject: str
    # True: the merge checks have passed on the tree of this branch.
    tested: bool = False
    # Its last accepted commit. Empty: none, or the branch of a run.
    commit: str = ""
    # True: the epic's place is another worker than the one that merges.
    elsewhere: bool = False

    @property
    def branch(self) -> str:
        return self.name.branch


@dataclass(frozen=True)
class MergeContext:
    """Where branches are merged, and how."""

    run: RunName
    worker: str
    project: str
    target: str
    # The start commit of a target that does not exist yet. Empty: the target must exist.
    create_at: str
    squash: bool
    checks: pb.MergeChecks
    tested_tree: str
    # The last commit of the run's branch. Empty: nothing was merged yet.
    merged_commit: str = ""
    # True: the run is being cancelled.
    cancelling: bool = False
    # Empty: the project has no project file.
    project_file: pb.ProjectFile = field(default_factory=pb.ProjectFile)

    @property
    def moves(self) -> bool:
        """True: another worker can continue the merges, because the remote has the commits."""
        return urls.is_url(self.project)


def read_epic_merges(connection: sa.Connection, run: RunName) -> tuple[MergeContext, list[Source]]:
    """Returns the epics whose merge is recorded as in progress, in the order of the plan."""
    row = connection.execute(sa.select(runs_table).where(runs_table.c.run == run.run)).one()
    context = _context(row, run, run.branch, row.base_commit)
    chosen = (
        sa.select(epics_table.c.epic, epics_table.c.spec, epics_table.c.head_commit, epics_table.c.worker)
        .where(epics_table.c.run == run.run, epics_table.c.merge_state == MergeState.MERGING)
        .order_by(epics_table.c.place)
    )
    sources = []
    for each in connection.execute(chosen).all():
        name = run.epic(each.epic)
        title = pb.PlanEpic.FromString(each.spec).title
        tested = _was_tested(connection, name, context.checks)
        elsewhere = each.worker not in {"", row.worker}
        sources.append(Source(name, f"Merge epic {title}", tested, each.head_commit, elsewhere))
    return context, sources


def read_run_merge(connection: sa.Connection, run: RunName) -> tuple[MergeContext, Source] | None:
    """Returns the merge of a run's branch; None unless it is recorded as in progress."""
    row = connection.execute(
        sa.select(runs_table).where(
            runs_table.c.run == run.run, runs_table.c.merge_state == MergeState.MERGING
        )
    ).one_or_none()
    if row is None:
        return None
    return _context(row, run, row.merge_into, ""), Source(run, f"Merge {row.title}")


def _context(row: Any, run: RunName, target: str, create_at: str) -> MergeContext:
    checks = pb.MergeChecks.FromString(row.merge_checks or b"")
    return MergeContext(
        run,
        row.worker,
        row.project,
        target,
        create_at,
        row.squash,
        checks,
        tested_tree=row.tested_tree,
        merged_commit=row.head_commit,
        cancelling=row.state == pb.RUN_STATE_CANCELLING,
        project_file=pb.ProjectFile.FromString(row.project_file or b""),
    )


def _was_tested(connection: sa.Connection, name: EpicName, checks: pb.MergeChecks) -> bool:
    """Returns whether an epic's last accepted task had to pass all of the checks."""
    if not checks.checks:
        return True
    chosen = (
        sa.select(tasks_table.c.spec)
        .where(
            tasks_table.c.run == name.run,
            tasks_table.c.epic == name.epic,
            tasks_table.c.state == pb.TASK_STATE_ACCEPTED,
        )
        .order_by(tasks_table.c.position.desc())
        .limit(1)
    )
    spec = connection.execute(chosen).scalar_one_or_none()
    passed = {check.run for check in pb.PlanTask.FromString(spec or b"").checks}
    return passed.issuperset(check.run for check in checks.checks)


def record_merged(
    connection: sa.Connection,
    context: MergeContext,
    commits: Sequence[tuple[Name, str]],
    *,
    tree: str,
    refused: Mapping[str, str],
    now: int,
) -> None:
    """Records the branches that are now in the target, each with its merge commit.

    `tree` is the tested tree; empty: untested. `refused` has, by branch, why the remote refused it.
    """
    for name, commit in commits:
        if not _note_merged(connection, name, commit):
            continue
        finished = pb.MergeFinished(target_branch=context.target, commit=commit)
        append(connection, [event(name, _ACTOR, merge_finished=finished)], now)
        if isinstance(name, EpicName):
            values = {"head_commit": commit, **({"tested_tree": tree} if tree else {})}
            runs.change(connection, name.parent, **values)
    note_pushes(connection, context.run, [context.target, *(name.branch for name, _ in commits)], refused)
    failed = [pb.PushFailed(branch=branch, error=error) for branch, error in refused.items()]
    append(connection, [event(context.run, _ACTOR, push_failed=each) for each in failed], now)


def record_conflict(
    connection: sa.Connection, name: Name, conflict: pb.MergeConflicted, reason: str, now: int
) -> None:
    """Records why a branch was not merged; the policy decides what follows."""
    if _note_conflict(connection, name, conflict, reason):
        append(connection, [event(name, _ACTOR, merge_conflicted=conflict)], now)


def record_merge_failure(connection: sa.Connection, name: Name, target: str, problem: str, now: int) -> None:
    """Records that a merge could not be done. This ends an epic; for a run, the policy then ends it."""
    if isinstance(name, RunName):
        conflict = pb.MergeConflicted(target_branch=target, advice=problem)
        record_conflict(connection, name, conflict, problem, now)
        return
    reason = f"the merge failed: {problem}"
    if epics.try_to(connection, name, transitions.EPIC_MERGE_FAIL, now=now, reason=reason):
        ended = pb.EpicFinished(outcome=pb.OUTCOME_FAILED, reason=reason)
        append(connection, [event(name, _ACTOR, epic_finished=ended)], now)


def record_merge_hold(connection: sa.Connection, name: Name, target: str, problem: str, now: int) -> None:
    """Records what a merge in progress waits for; writes one event for each new reason."""
    if isinstance(name, EpicName):
        new = epics.hold_merge(connection, name, problem)
    else:
        new = runs.hold_merge(connection, name, problem)
    if new:
        held = pb.MergeHeld(target_branch=target, reason=problem)
        append(connection, [event(name, _ACTOR, merge_held=held)], now)


def record_merge_check(
    connection: sa.Connection, context: MergeContext, names: Sequence[Name], check: pb.CheckFinished, now: int
) -> None:
    """Records a check's result on a merged tree; the event is about the epic if only one epic was merged."""
    keys = [name.epic for name in names if isinstance(name, EpicName)]
    about = names[0] if len(names) == 1 else context.run
    finished = pb.MergeCheckFinished(target_branch=context.target, epics=keys, check=check)
    append(connection, [event(about, _ACTOR, merge_check_finished=finished)], now)


def _note_merged(connection: sa.Connection, name: Name, commit: str) -> bool:
    """Ends a merge that is in progress; returns False if none is."""
    if isinstance(name, RunName):
        return runs.try_to(connection, name, transitions.RUN_MERGED)
    return epics.try_to(connection, name, transitions.EPIC_MERGED, merge_commit=commit)


def _note_conflict(connection: sa.Connection, name: Name, conflict: pb.MergeConflicted, reason: str) -> bool:
    """Ends a merge that is in progress; returns False if none is."""
    if isinstance(name, RunName):
        return runs.try_to(connection, name, transitions.RUN_CONFLICT)
    found = conflict.SerializeToString()
    return epics.try_to(connection, name, transitions.EPIC_CONFLICT, reason=reason, conflict=found)
