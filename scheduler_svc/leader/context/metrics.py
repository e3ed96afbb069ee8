"""Metrics of the leader, and what the last snapshot says about the whole fleet."""

import time
from collections import Counter as Tally
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.policy.snapshot import Snapshot
from scheduler_svc.policy.waiting import REASONS, reasons

# Seconds for which the gauges of a snapshot stay as they are: large snapshots take time to count.
_REFRESH: Final = 2.0

# What an epic without a place waits for.
_PLACE_REASONS: Final = frozenset({"worker", "slot"})

# The states of runs that have not ended, and all states of tasks.
_RUN_STATES: Final = (
    pb.RUN_STATE_PENDING,
    pb.RUN_STATE_RUNNING,
    pb.RUN_STATE_PAUSED,
    pb.RUN_STATE_CANCELLING,
)
_TASK_STATES: Final = tuple(state for state in pb.TaskState.values() if state)

_LEADER: Final = Gauge("heddle_leader", "1 while this replica leads, otherwise 0.")
_EPOCH: Final = Gauge("heddle_leader_epoch", "The epoch of this replica's last term. 0: it has not led.")
TICK_SECONDS: Final = Histogram("heddle_tick_seconds", "Duration of one round of observe, decide and act.")
INGEST_LAG: Final = Histogram(
    "heddle_ingest_lag_seconds",
    "Time from an event of a session, by the worker's clock, until it was stored.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
_TOKENS: Final = Counter("heddle_tokens", "Tokens that agents reported.", ["agent", "kind"])
_COST: Final = Counter("heddle_cost_usd", "Cost that agents reported or that was estimated.", ["agent"])
_ATTEMPTS: Final = Counter("heddle_attempts", "Attempts that ended, by their outcome.", ["agent", "outcome"])
MERGES: Final = Counter("heddle_merges", "Merges that ended, by their outcome.", ["outcome"])
PUSH_FAILURES: Final = Counter("heddle_push_failures", "Branches that a remote did not accept.")
_RUNS: Final = Gauge("heddle_runs", "Runs that have not ended.", ["state"])
_TASKS: Final = Gauge("heddle_tasks", "Tasks of the runs that have not ended.", ["state"])
_WAITING: Final = Gauge("heddle_epics_waiting", "Epics that wait, by what they wait for.", ["reason"])
_PLACES: Final = Counter(
    "heddle_places",
    "Places that epics got for the first time, that they moved to, and that were lost with an attempt.",
    ["event"],
)
for _event in ("placed", "moved", "lost"):
    # Shown as 0 before the first, so that a rate has a beginning.
    _PLACES.labels(_event)
_PLACE_WAIT: Final = Histogram(
    "heddle_place_wait_seconds",
    "Time for which an epic lacked only a worker or a free slot until its task was started.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)
_QUESTION_AGE: Final = Gauge(
    "heddle_oldest_question_age_seconds", "How long the oldest open question has waited. 0: none is open."
)
_HELD: Final = Gauge("heddle_providers_held", "Providers of models that accept no work at the moment.")


def lead(epoch: int) -> None:
    """Records that this replica leads from now on; 0: that it does not, and knows nothing of the fleet."""
    _LEADER.set(bool(epoch))
    if epoch:
        _EPOCH.set(epoch)
        return
    for gauge in (_RUNS, _TASKS, _WAITING):
        gauge.clear()
    _QUESTION_AGE.set(0)
    _HELD.set(0)


def used(agent: str, reports: Iterable[pb.Usage]) -> None:
    """Counts usage that was stored; `agent` as in plans."""
    kind = agent.partition(":")[0]
    for report in reports:
        for name, tokens in (
            ("input", report.input_tokens),
            ("output", report.output_tokens),
            ("cache_read", report.cache_read_tokens),
            ("cache_write", report.cache_write_tokens),
        ):
            _TOKENS.labels(kind, name).inc(max(0, tokens))
        # A correction of an estimate can be negative, which a counter cannot show.
        _COST.labels(kind).inc(max(0, report.cost_usd_micros) / 1e6)


def attempt_ended(agent: str, outcome: "pb.Outcome.ValueType") -> None:
    """Counts an attempt whose end was stored; a task counts as accepted if the outcome is SUCCEEDED."""
    word = pb.Outcome.Name(outcome).removeprefix("OUTCOME_").lower()
    _ATTEMPTS.labels(agent.partition(":")[0], word).inc()


def place_taken(*, moved: bool) -> None:
    """Counts an epic that got a place; `moved`: it had another one before."""
    _PLACES.labels("moved" if moved else "placed").inc()


def place_lost() -> None:
    """Counts an epic whose place was lost with an attempt."""
    _PLACES.labels("lost").inc()


class SnapshotGauges:
    """Shows the newest snapshot."""

    def __init__(self) -> None:
        self._due = 0.0
        # Since when epics lack only a worker or slot.
        self._lacking: dict[EpicName, float] = {}

    def show(self, snapshot: Snapshot, now: int) -> None:
        """Updates the gauges unless they are fresh; `now` is in microseconds."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _REFRESH
        tasks = [task for run in snapshot.runs for epic in run.epics for task in epic.sessions]
        runs, states = Tally(run.state for run in snapshot.runs), Tally(task.state for task in tasks)
        for of_run in _RUN_STATES:
            _RUNS.labels(pb.RunState.Name(of_run).removeprefix("RUN_STATE_").lower()).set(runs[of_run])
        for of_task in _TASK_STATES:
            _TASKS.labels(pb.TaskState.Name(of_task).removeprefix("TASK_STATE_").lower()).set(states[of_task])
        found = list(reasons(snapshot))
        counts = Tally(reason for _, reason in found)
        for reason in REASONS:
            _WAITING.labels(reason).set(counts[reason])
        lacking = {epic.name for epic, reason in found if epic.moves and reason in _PLACE_REASONS}
        self._wait(lacking, {epic.name for run in snapshot.runs for epic in run.epics if epic.busy})
        asked = [task.asked_at for task in tasks if task.asked_at is not None]
        _QUESTION_AGE.set(max(0, now - min(asked)) / 1e6 if asked else 0)
        _HELD.set(sum(each.held for each in snapshot.providers))

    def _wait(self, lacking: AbstractSet[EpicName], busy: AbstractSet[EpicName]) -> None:
        now = time.monotonic()
        for name in self._lacking.keys() - lacking:
            began = self._lacking.pop(name)
            # Others were paused, for example: they do not lack a place any more, and did not get one.
            if name in busy:
                _PLACE_WAIT.observe(now - began)
        for name in lacking:
            self._lacking.setdefault(name, now)
