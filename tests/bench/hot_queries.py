"""The queries that a busy scheduler runs all the time, and the plans that PostgreSQL makes for them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.api.run_stream import _read_page
from scheduler_svc.leader.loop import _observe
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.events import collecting
from scheduler_svc.store.outcomes.attempt_outcomes import Acceptance, accept_all
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from scheduler_svc.store.queries import costs, lists, merge_view, records, session_log, worktrees
from scheduler_svc.store.queries.assignments import Wanted, read_starts
from scheduler_svc.store.queries.resources import runs_of
from scheduler_svc.store.rows import holds
from scheduler_svc.store.rows.callers import audit, requests
from scheduler_svc.store.rows.retention import log_retention
from tests.bench.history import LARGE, LARGE_EPICS, Size, a_session

Query = Callable[[sa.Connection], object]

# Tables that stay small: every row is wanted, or there are few.
SMALL: Final = frozenset({"leadership", "holds", "errands", "project_totals", "tokens", "forecasts"})


def hot_queries(size: Size) -> Mapping[str, Query]:
    """Returns the queries by name. Each can be repeated; what it writes is rolled back by the caller."""
    session = a_session(size)
    run = RunName(session.run)
    at_work = EpicName(f"run-{size.runs - 1}", "e1").task("t1").attempt(1)
    pending = EpicName(f"run-{size.runs - 1}", "e1").task("t2").attempt(1)

    def listed(query: Callable[..., Any], kind: Callable[..., Any], **fields: Any) -> Query:
        return lambda connection: query(connection, kind(**fields))

    def second_page(connection: sa.Connection) -> object:
        first = lists.list_runs(connection, pb.ListRunsRequest())
        return lists.list_runs(connection, pb.ListRunsRequest(page_token=first.next_page_token))

    def take_in(connection: sa.Connection) -> object:
        with collecting(connection):
            return ingest(connection, [Batch(at_work, [pb.Event(sequence=1, output=pb.Output(text="x"))], 1)])

    def accept(connection: sa.Connection) -> object:
        with collecting(connection):
            return accept_all(connection, [Acceptance(at_work, pb.CommitTaskResponse(commit="abc"), 1)])

    observe = partial(
        _observe, workers=(WorkerView("local", 500),), project_budget=10**9, now=1, park_after=0
    )
    cost = partial(costs.list_costs, project_budget=None)
    return {
        "the leader's input of a decision": observe,
        "start of a task": lambda connection: read_starts(connection, [Wanted(pending, None, "")]),
        "a batch of a session": take_in,
        "acceptance of a task": accept,
        # Its log has an event for the run and one for each epic.
        "a watcher's next page, 500 epics": lambda c: _read_page(c, LARGE, LARGE_EPICS, is_first=False),
        "a watcher's first page, 500 epics": lambda c: _read_page(c, LARGE, 0, is_first=True),
        "summaries of a run": partial(records.live_attempts, run=at_work.run),
        "the newest runs": lambda c: runs_of(c, records.newest_runs(c, 50)),
        "changed runs": partial(records.run_versions, known=[run.run, at_work.run]),
        "a session's log": partial(session_log.read_tail, name=session, after=0),
        "a session's last events": listed(
            session_log.list_session_events,
            pb.ListSessionEventsRequest,
            parent=str(session),
            before_sequence=50,
        ),
        "ListRuns": listed(lists.list_runs, pb.ListRunsRequest),
        "ListRuns, second page": second_page,
        "ListRuns of projects": lambda c: lists.list_runs(c, pb.ListRunsRequest(), ["/project-1"]),
        "ListEpics": listed(lists.list_epics, pb.ListEpicsRequest, parent=str(run)),
        "ListTasks": listed(lists.list_tasks, pb.ListTasksRequest, parent=f"{run}/epics/-"),
        "ListAttempts": listed(lists.list_attempts, pb.ListAttemptsRequest, parent=f"{run}/epics/-/tasks/-"),
        "ListApprovals": listed(lists.list_approvals, pb.ListApprovalsRequest),
        "ListHolds": partial(holds.list_holds, now=1),
        "GetConflicts": partial(merge_view.get_conflicts, name=run),
        "ListCosts of projects": listed(cost, pb.ListCostsRequest),
        "ListCosts of a project": listed(cost, pb.ListCostsRequest, parent="/project-1"),
        "ListCosts of a run": listed(cost, pb.ListCostsRequest, parent=str(run)),
        "ListCosts of an epic": listed(cost, pb.ListCostsRequest, parent=str(session.parent.parent)),
        "ListCosts of a task": listed(cost, pb.ListCostsRequest, parent=str(session.parent)),
        "ListEpicWorktrees": lambda c: worktrees.read_page(
            c, pb.ListEpicWorktreesRequest(parent=str(run)), 100
        ),
        "ListAuditEntries": partial(audit.listed, before=None, user="", size=100),
        "ListAuditEntries of a user": partial(audit.listed, before=None, user="user:1", size=100),
        "a new request": lambda c: requests.recall(c, "new", pb.PauseRunRequest()),
        "results to forget": partial(log_retention.forget_results, before=1),
    }


@contextmanager
def recording(connection: sa.Connection) -> Iterator[list[tuple[Any, Any]]]:
    """Collects the statements that a connection to PostgreSQL executes inside the block, with their parameters."""
    found: list[tuple[Any, Any]] = []

    class Recorder(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **rest: Any) -> Any:
            found.append((query, params))
            return super().execute(query, params, **rest)

        def executemany(self, query: Any, params_seq: Any, **rest: Any) -> None:
            every = list(params_seq)
            found.append((query, every[0]))
            super().executemany(query, every, **rest)

    driver: Any = connection.connection.dbapi_connection
    before, driver.cursor_factory = driver.cursor_factory, Recorder
    try:
        yield found
    finally:
        driver.cursor_factory = before


def scanned(connection: sa.Connection, statement: Any, parameters: Any) -> set[str]:
    """Returns the tables that PostgreSQL would read in whole for a statement; a partition counts as its table."""
    driver: Any = connection.connection.dbapi_connection
    plan = driver.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone()[0]
    found = set(_scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    # There is nothing to read in an empty partition.
    filled = driver.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relpages > 0", [list(found)]
    )
    return {re.sub(r"_(before_)?(\d{8}|default)$", "", name) for (name,) in filled}


def _scans(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in SMALL:
        yield node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from _scans(part)
