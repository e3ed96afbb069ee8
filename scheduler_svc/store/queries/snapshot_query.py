"""Reads the snapshot for decisions, which contains the runs that have not ended."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from heddle import pb, urls
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.model.home import is_placed
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.policy.candidates import with_lanes
from scheduler_svc.policy.ledger import outgrown
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, TaskView, WorkerView
from scheduler_svc.store.db.pipeline import Parameters, fetch
from scheduler_svc.store.db.tables import NEWEST_ATTEMPT, attempts, epics, runs, tasks
from scheduler_svc.store.queries import open_questions
from scheduler_svc.store.queries.open_questions import Wait
from scheduler_svc.store.queries.spending import project_costs, spent_by_task
from scheduler_svc.store.rows.holds import HOLDS, provider_of_next, provider_of_spec, providers_of
from scheduler_svc.store.rows.unpushed_branches import unpushed_error

# Columns are read by name.
Row: TypeAlias = Any

# Number of tasks and epics that are cached as objects.
_REMEMBERED: Final = 20_000

# The runs of the tasks and epics that are cached.
_cached_runs: Final[set[str]] = set()

_GOING_ON = sa.select(runs.c.run).where(runs.c.ended_at.is_(None)).scalar_subquery()

_RUNS = (
    sa.select(
        runs.c.run,
        runs.c.state,
        runs.c.worker,
        runs.c.max_parallel,
        runs.c.merge_into,
        runs.c.merge_state,
        runs.c.project,
        runs.c.served,
        runs.c.budget_micros,
        runs.c.fault,
        runs.c.waits_for,
        runs.c.unpushed,
    )
    .where(runs.c.ended_at.is_(None))
    .order_by(runs.c.created_at, runs.c.run)
)
_EPICS = (
    sa.select(
        epics.c.run,
        epics.c.epic,
        epics.c.place,
        epics.c.state,
        epics.c.priority,
        epics.c.on_failure,
        epics.c.spec,
        epics.c.merge_state,
        epics.c.merge_wanted,
        epics.c.reason,
        epics.c.budget_micros,
        epics.c.setup_failure,
        epics.c.rewind_to,
        epics.c.worker,
        epics.c.generation,
        epics.c.started_at,
        epics.c.budget_hold.is_not(None).label("over_budget"),
        epics.c.sync_state,
        epics.c.waits_for,
    )
    .where(epics.c.run.in_(_GOING_ON))
    .order_by(epics.c.run, epics.c.place)
)
# Each task with its newest attempt.
_TASKS = (
    sa.select(
        tasks.c.run,
        tasks.c.epic,
        tasks.c.task,
        tasks.c.state,
        tasks.c.attempt_count,
        tasks.c.estimate,
        attempts.c.started_at,
        attempts.c.ended_at,
        attempts.c.stop_reason,
        tasks.c.skipped_by,
        attempts.c.state.label("attempt_state"),
        tasks.c.budget_micros,
        attempts.c.share_micros,
        attempts.c.cost_micros,
        attempts.c.turn_micros,
        tasks.c.resolves,
        tasks.c.needs,
        tasks.c.review.is_not(None).label("in_review"),
        tasks.c.candidates,
        tasks.c.compares,
        tasks.c.chosen,
        tasks.c.score,
        tasks.c.candidate,
        tasks.c.agents,
        tasks.c.start_after,
    )
    .outerjoin(attempts, NEWEST_ATTEMPT)
    .where(tasks.c.run.in_(_GOING_ON))
    # Candidates follow their task.
    .order_by(tasks.c.run, tasks.c.epic, tasks.c.position, tasks.c.candidate)
)
_PENDING = sa.select(tasks.c.run, tasks.c.epic, tasks.c.task, tasks.c.spec, tasks.c.review).where(
    tasks.c.run.in_(_GOING_ON), tasks.c.state == pb.TASK_STATE_PENDING
)


# What every snapshot needs.
STATEMENTS: Final[Sequence[tuple[sa.Select[Any], Parameters]]] = (
    (_RUNS, {}),
    (_EPICS, {}),
    (_TASKS, {}),
    (HOLDS, {}),
)


def observe(
    connection: sa.Connection,
    workers: Iterable[WorkerView],
    *,
    project_budget: int | None = None,
    now: int | None = None,
    park_after: int = 0,
    is_lost: Callable[[str], bool] = lambda _: False,
) -> Snapshot:
    """Returns the complete input of a decision.

    `project_budget` is the budget of each project, in micros; None: no limit. `now`
    is in microseconds; None: no task counts as held or paced. A session can be parked once
    its question is `park_after` microseconds old. `is_lost` returns whether a worker is unreachable and has lost all
    of its sessions.
    """
    return snapshot_of(
        connection,
        fetch(connection, STATEMENTS),
        workers,
        project_budget=project_budget,
        now=now,
        park_after=park_after,
        is_lost=is_lost,
    )


def snapshot_of(
    connection: sa.Connection,
    found: Sequence[Sequence[Row]],
    workers: Iterable[WorkerView],
    *,
    project_budget: int | None,
    now: int | None,
    park_after: int,
    is_lost: Callable[[str], bool] = lambda _: False,
) -> Snapshot:
    """Like `observe`; `found` has the rows of STATEMENTS. Budgets, holds and questions need further queries."""
    going_on, epic_rows, task_rows, hold_rows = found
    _forget_ended({row.run for row in going_on})
    if not going_on:
        return Snapshot(runs=(), workers=tuple(workers))
    # Without budgets, the queries that only budgets need are skipped.
    limited = any(row.budget_micros is not None for row in chain(going_on, epic_rows, task_rows))
    spent = spent_by_task(connection, _GOING_ON) if limited else {}
    projects = {row.project for row in going_on}
    by_project, typical = (
        project_costs(connection, projects) if spent or project_budget is not None else ({}, {})
    )
    providers = () if now is None else providers_of(connection, hold_rows, now)
    of_task = _OfTask(
        spent=spent,
        providers=_provided(connection, {each.name for each in providers}) if providers else {},
        waits=open_questions.waits(connection, task_rows, now, park_after),
    )
    of_epic = _tasks_by_epic(task_rows, of_task, now)
    of_run: defaultdict[str, list[EpicView]] = defaultdict(list)
    placed = {row.run for row in going_on if is_placed(row.project, served=row.served)}
    for each in epic_rows:
        of_run[each.run].append(_epic(each, of_epic[each.run, each.epic], placed=each.run in placed))
    return Snapshot(
        runs=tuple(
            _run(
                row,
                of_run[row.run],
                project_budget,
                by_project.get(row.project, 0),
                typical.get(row.project, 0),
            )
            for row in going_on
        ),
        workers=tuple(workers),
        typical_seconds=_typical_seconds(task_rows),
        providers=providers,
        lost=frozenset(filter(is_lost, {row.worker for row in chain(going_on, epic_rows) if row.worker})),
    )


def _tasks_by_epic(
    rows: Iterable[Row], of_task: "_OfTask", now: int | None
) -> defaultdict[tuple[str, str], list[TaskView]]:
    """Returns the tasks of each epic, by run and epic. Reads columns by number, because that is faster."""
    of_epic: defaultdict[tuple[str, str], list[TaskView]] = defaultdict(list)
    lanes: list[TaskView] = []
    for row in rows:
        key = row[:3]
        # The time itself would make the cache useless, because it differs for each task.
        paced = now is not None and row[-1] > now
        spent, provider = of_task.spent.get(key, 0), of_task.providers.get(key, "")
        task = _task((*row[:-1], spent, paced, provider, of_task.waits.get(key, open_questions.NO_WAIT)))
        (of_epic[key[:2]] if task.whole is None else lanes).append(task)
    for key, of_lanes in groupby(lanes, lambda lane: (lane.name.run, lane.name.epic)):
        of_epic[key] = with_lanes(of_epic[key], list(of_lanes))
    return of_epic


def _typical_seconds(rows: Iterable[Row]) -> float | None:
    """Returns the average duration of the accepted tasks in seconds; None if there is none yet."""
    # A task with candidates is accepted with the work of one of them, which counts in its place.
    seconds = [
        (row.ended_at - row.started_at) / 1_000_000
        for row in rows
        if row[3] == pb.TASK_STATE_ACCEPTED and not row.candidates
    ]
    return sum(seconds) / len(seconds) if seconds else None


class _OfTask(NamedTuple):
    """Data on tasks from other tables, by run, epic and task."""

    # In micros.
    spent: Mapping[tuple[str, ...], int]
    providers: Mapping[tuple[str, ...], str]
    waits: Mapping[tuple[str, ...], Wait]


def _provided(connection: sa.Connection, providers: Container[str]) -> dict[tuple[str, ...], str]:
    """Returns the provider of each pending task that uses one of `providers`, by run, epic and task."""
    return {
        (row.run, row.epic, row.task): provider
        for row in connection.execute(_PENDING)
        if (provider := provider_of_next(row.spec, row.review)) in providers
    }


def _run(
    row: Row,
    epics_of_run: Iterable[EpicView],
    project_budget: int | None,
    project_spent: int,
    typical_cost: int,
) -> RunView:
    return RunView(
        name=RunName(row.run),
        state=row.state,
        worker=row.worker,
        max_parallel=row.max_parallel,
        epics=tuple(epics_of_run),
        merge_into=row.merge_into,
        merged_into=row.merge_state == MergeState.MERGED,
        merge_into_conflict=row.merge_state == MergeState.CONFLICTED,
        merging_into=row.merge_state == MergeState.MERGING,
        faulty=row.fault != "",
        waits_for=row.waits_for,
        unpushed=unpushed_error(row.unpushed, row.merge_into or RunName(row.run).branch),
        budget=row.budget_micros,
        project=row.project,
        placed=is_placed(row.project, served=row.served),
        keeps_home=not urls.is_url(row.project),
        typical_cost=typical_cost,
        project_budget=project_budget,
        project_spent=project_spent,
    )


def _epic(row: Row, tasks_of_epic: Iterable[TaskView], *, placed: bool) -> EpicView:
    return EpicView(
        **_planned(row.spec),
        name=EpicName(row.run, row.epic),
        state=row.state,
        index=row.place,
        priority=row.priority,
        on_failure=row.on_failure,
        tasks=tuple(tasks_of_epic),
        merged=row.merge_state == MergeState.MERGED,
        merging=row.merge_state == MergeState.MERGING,
        merge_wanted=row.merge_wanted,
        conflict=row.reason if row.merge_state == MergeState.CONFLICTED else "",
        budget=row.budget_micros,
        setup_failure=row.setup_failure,
        rewinds=row.rewind_to != "",
        over_budget=row.over_budget,
        out_of_sync=row.sync_state == pb.SYNC_STATE_HELD,
        # One that started without a place stays, because not all of its commits need be at the remote.
        moves=placed and (row.generation > 0 or row.started_at is None),
        worker=row.worker,
        generation=row.generation,
        waits_for=row.waits_for,
    )


def _forget_ended(going_on: set[str]) -> None:
    """Empties the caches once a run has ended, because they would keep its tasks in all of their earlier states.

    The tasks of other runs are cached again by the next snapshot.
    """
    if _cached_runs - going_on:
        for cached in (_planned, _task, provider_of_spec):
            cached.cache_clear()
        _cached_runs.clear()
    _cached_runs.update(going_on)


@lru_cache(maxsize=_REMEMBERED)
def _planned(spec: bytes) -> Mapping[str, Any]:
    """Returns the fields of an EpicView that the plan gives.

    For a plan from before these options existed, returns the behaviour of that time.
    """
    epic = pb.PlanEpic.FromString(spec)
    return {
        "depends_on": tuple(epic.depends_on),
        "merge": epic.merge or pb.MERGE_POLICY_AUTO,
        "on_conflict": epic.on_conflict or pb.ON_CONFLICT_WAIT,
        "labels": frozenset(epic.place.items()),
        "resources": frozenset(epic.resources.items()),
    }


# Cached, because few tasks change between two snapshots. `columns` contains the columns of _TASKS, the task's
# cost, whether it is paced, its unavailable provider and its question, as a tuple, which is compared faster.
@lru_cache(maxsize=_REMEMBERED)
def _task(columns: tuple[Any, ...]) -> TaskView:
    run, epic, task, state, attempt_count, estimate, *rest = columns
    (
        started_at,
        ended_at,
        stop_reason,
        skipped_by,
        attempt_state,
        budget,
        share,
        cost,
        turn,
        resolves,
        needs,
        in_review,
        candidates,
        compares,
        chosen,
        score,
        candidate,
        agents,
        spent,
        paced,
        provider,
        wait,
    ) = rest
    name = TaskName(run, epic, task)
    unresolved = resolves and state == pb.TASK_STATE_FAILED
    live = started_at is not None and ended_at is None
    return TaskView(
        name=name,
        state=pb.TASK_STATE_SKIPPED if unresolved else state,
        attempts=attempt_count,
        estimate=estimate,
        live_attempt=name.attempt(attempt_count) if live else None,
        stopping=live and stop_reason is not None,
        asked_at=wait.asked_at,
        parkable=live and wait.parkable,
        overdue=wait.overdue,
        resumes=state == pb.TASK_STATE_PENDING and (in_review or attempt_state == pb.ATTEMPT_STATE_PARKED),
        in_review=in_review,
        waived=bool(skipped_by) or unresolved,
        resolves=resolves,
        needs=tuple(TaskName(run, *each.split("/")) for each in needs.split()),
        starting=live and attempt_state == pb.ATTEMPT_STATE_STARTING,
        agents=tuple(agents.split("\n")) if agents else (),
        paced=paced,
        provider=provider,
        checking=live and attempt_state == pb.ATTEMPT_STATE_CHECKING,
        budget=budget,
        spent=spent,
        reserved=max(0, share - cost) if live and share is not None else 0,
        turn=turn if live else 0,
        outgrown=outgrown(attempt_state, share, cost, turn) if state == pb.TASK_STATE_PENDING else 0,
        candidates=candidates,
        compares=compares,
        chosen=chosen,
        whole=name.whole if candidate else None,
        score=score,
    )
