"""Generates a long history on PostgreSQL: runs, tasks and events as the scheduler leaves them."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.store.db import partitions
from scheduler_svc.store.db.events import collecting
from tests.support.scheduler import make_plan

PROJECTS: Final = 10

# Events of one batch of a session, and events of the run's log for each task.
_BATCH: Final = 10
_RUN_EVENTS: Final = 5

# Days over which the runs are spread.
_DAYS: Final = 30
_DAY: Final = 86_400_000_000

# Epics of a run, and tasks of an epic.
_EPICS: Final = 10
_TASKS: Final = 10

# The newest runs are still open. The newest of all is as large as a run gets.
OPEN: Final = 20
LARGE: Final = RunName("large")
LARGE_EPICS: Final = 500

_LINE: Final = "compiled src/part.py without a warning\n"


class Size(NamedTuple):
    """How much history."""

    runs: int = 1_000
    # Events of all sessions.
    events: int = 10_000_000

    @property
    def tasks(self) -> int:
        return self.runs * _EPICS * _TASKS


def a_session(size: Size) -> AttemptName:
    """Returns the attempt of a task that ended long ago."""
    return AttemptName(f"run-{size.runs // 2}", "e1", "t1", 1)


def generate(connection: sa.Connection, size: Size) -> None:
    """Fills an empty database. Most of it is copied by the server itself, so that it takes minutes, not hours."""
    _make_days(connection)
    values = _values(connection, size)
    for statement in _STATEMENTS:
        text = sa.text(statement)
        names = text.compile().params
        connection.execute(text, {name: values[name] for name in names})
    plan = make_plan({f"e{number}": ["t1", "t2"] for number in range(LARGE_EPICS)}, agent="scripted")
    base = _Base("local", "/project-0", "c0ffee", "main", LARGE_EPICS)
    request = pb.CreateRunRequest(plan=plan)
    with collecting(connection):
        _write(connection, LARGE, request, base, actor="user:ada", now=values["now"])


def _make_days(connection: sa.Connection) -> None:
    """Makes the partitions of the days in which the runs were at work."""
    today = connection.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    for table in partitions.TABLES:
        for before in partitions.existing(connection, table):
            if before.first is None:
                partitions.drop(connection, before)
        for ago in range(1, _DAYS + 2):
            partitions._create(connection, table, today - timedelta(days=ago))


def _values(connection: sa.Connection, size: Size) -> dict[str, Any]:
    usage = pb.UsageTotals(cost_usd_micros=50_000, input_tokens=20_000, output_tokens=1_000)
    batches = max(1, size.events // size.tasks // _BATCH)
    connection.execute(sa.text("CREATE TEMPORARY TABLE batch (number int, events bytea) ON COMMIT DROP"))
    for number in range(batches):
        events = [
            pb.Event(sequence=number * _BATCH + place, output=pb.Output(text=_LINE))
            for place in range(1, _BATCH + 1)
        ]
        row = {"number": number, "events": pb.WatchSessionResponse(events=events).SerializeToString()}
        connection.execute(sa.text("INSERT INTO batch VALUES (:number, :events)"), row)
    task = pb.PlanTask(key="t", title="A task", prompt="Do it. " * 20, agent="scripted")
    result = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
    accepted = pb.Event(task_accepted=pb.TaskAccepted(commit="c0ffee"))
    return {
        "runs": size.runs,
        "open": OPEN,
        "projects": PROJECTS,
        "epics": _EPICS,
        "tasks": _TASKS,
        "batch": _BATCH,
        "last": batches * _BATCH,
        "run_events": _RUN_EVENTS,
        "now": connection.execute(
            sa.text("SELECT CAST(extract(epoch FROM now()) * 1000000 AS bigint)")
        ).scalar_one(),
        "step": _DAYS * _DAY // max(1, size.runs),
        "plan": b"\x00" * 100_000,
        "spec": pb.PlanEpic(key="e", title="An epic").SerializeToString(),
        "task_spec": task.SerializeToString(),
        "usage": usage.SerializeToString(),
        "cost": usage.cost_usd_micros,
        "result": result.SerializeToString(),
        "summary": pb.SessionSummary(last_lines=[_LINE]).SerializeToString(),
        "event": accepted.SerializeToString(),
        "running": pb.RUN_STATE_RUNNING,
        "succeeded": pb.RUN_STATE_SUCCEEDED,
        "epic_running": pb.EPIC_STATE_RUNNING,
        "epic_succeeded": pb.EPIC_STATE_SUCCEEDED,
        "pending": pb.TASK_STATE_PENDING,
        "task_running": pb.TASK_STATE_RUNNING,
        "accepted": pb.TASK_STATE_ACCEPTED,
        "at_work": pb.ATTEMPT_STATE_RUNNING,
        "attempt_accepted": pb.ATTEMPT_STATE_ACCEPTED,
    }


# In an open run, the first task of each epic is at work, and the others are pending.
_STATEMENTS: Final = (
    """INSERT INTO runs (run, title, state, project, base_ref, base_commit, merge_into, max_parallel, worker, plan,
        created_at, started_at, ended_at, sequence, usage)
    SELECT 'run-' || r, 'Run ' || r, CASE WHEN r >= :runs - :open THEN :running ELSE :succeeded END,
        '/project-' || r % :projects, 'main', 'c0ffee', '', 10, 'local', CAST(:plan AS bytea),
        :now - (:runs - r) * :step, :now - (:runs - r) * :step,
        CASE WHEN r >= :runs - :open THEN NULL ELSE :now - (:runs - r) * :step + 3600000000 END,
        CASE WHEN r >= :runs - :open THEN 0 ELSE :epics * :tasks * :run_events END, CAST(:usage AS bytea)
    FROM generate_series(0, :runs - 1) AS r""",
    """INSERT INTO epics (run, epic, place, state, priority, on_failure, spec, started_at, usage)
    SELECT 'run-' || r, 'e' || e, e, CASE WHEN r >= :runs - :open THEN :epic_running ELSE :epic_succeeded END,
        1, 1, CAST(:spec AS bytea), 1, CAST(:usage AS bytea)
    FROM generate_series(0, :runs - 1) AS r, generate_series(0, :epics - 1) AS e""",
    """INSERT INTO tasks (run, epic, task, position, state, spec, attempt_count)
    SELECT 'run-' || r, 'e' || e, 't' || t, t,
        CASE WHEN r < :runs - :open THEN :accepted WHEN t = 1 THEN :task_running ELSE :pending END,
        CAST(:task_spec AS bytea), CASE WHEN r < :runs - :open OR t = 1 THEN 1 ELSE 0 END
    FROM generate_series(0, :runs - 1) AS r, generate_series(0, :epics - 1) AS e, generate_series(1, :tasks) AS t""",
    """INSERT INTO attempts (run, epic, task, number, state, worker, agent, started_at, ended_at, session_sequence,
        session_result, summary, usage, cost_micros, record)
    SELECT t.run, t.epic, t.task, 1, CASE WHEN t.state = :accepted THEN :attempt_accepted ELSE :at_work END,
        'local', 'scripted', r.created_at, CASE WHEN t.state = :accepted THEN r.created_at + 60000000 END,
        CASE WHEN t.state = :accepted THEN :last ELSE 0 END,
        CASE WHEN t.state = :accepted THEN CAST(:result AS bytea) END, CAST(:summary AS bytea), CAST(:usage AS bytea),
        :cost, ''
    FROM tasks t JOIN runs r ON r.run = t.run WHERE t.attempt_count = 1""",
    """INSERT INTO session_chunks (run, epic, task, number, first_sequence, last_sequence, events, day)
    SELECT a.run, a.epic, a.task, 1, b.number * :batch + 1, (b.number + 1) * :batch, b.events,
        CAST(timezone('UTC', to_timestamp(a.started_at / 1000000)) AS date)
    FROM attempts a, batch b WHERE a.ended_at IS NOT NULL""",
    """INSERT INTO run_events (run, sequence, event, day)
    SELECT r.run, s, CAST(:event AS bytea), CAST(timezone('UTC', to_timestamp(r.created_at / 1000000)) AS date)
    FROM runs r, generate_series(1, :epics * :tasks * :run_events) AS s WHERE r.ended_at IS NOT NULL""",
    """INSERT INTO requests (request_id, hash, resource, created_at)
    SELECT 'request-' || n, '', 'runs/run-' || n, :now - CAST(n AS bigint) * 1000000 FROM generate_series(1, :runs * 10) AS n""",
    """INSERT INTO audit (at, "user", method, resource, request_id, peer, refusal)
    SELECT :now - n, 'user:' || n % 10, 'CreateRun', 'runs/run-' || n, '', '', ''
    FROM generate_series(1, :runs * 10) AS n""",
    """INSERT INTO project_totals (project, cost_micros, accepted_micros, accepted_count)
    SELECT r.project, sum(a.cost_micros), sum(a.cost_micros), count(*)
    FROM attempts a JOIN runs r ON r.run = a.run WHERE a.ended_at IS NOT NULL GROUP BY r.project""",
)
