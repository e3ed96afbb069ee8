"""A day of many agents in seconds: the real policy and the real store, everything else simulated.

Workers join late, die with their sessions or become unreachable while those continue, and the epics of half of the
runs then continue on other workers; attempts
fail, are lost or hit rate limits; operators pause, stop, retry and cancel; leaders
change. The same seed gives the same day, event by event.

python -m tests.chaos.simulator [--seed SEED] [--agents AGENTS]
"""

import argparse
import hashlib
import heapq
import itertools
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.commands.runs import runs_and_tasks
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.tables import run_events, runs, tasks
from tests.chaos.core import Core, Write

MINUTE: Final = 60_000_000
TICK: Final = 5 * MINUTE
# Runs that have not ended by then never will.
LAST_TICK: Final = 5 * 24 * 12

# Ticks after which an unreachable worker has lost its sessions.
LEASE: Final = 1

URL: Final = "https://example.com/app"

SLOTS: Final = 25
EPICS: Final = 5
TASKS: Final = 5

# Median minutes of a task and the spread of its logarithm.
MEDIAN: Final = 45.0
SPREAD: Final = 0.8

_OUTCOMES: Final = {
    pb.OUTCOME_SUCCEEDED: 86,
    pb.OUTCOME_FAILED: 6,
    pb.OUTCOME_TIMED_OUT: 2,
    pb.OUTCOME_RATE_LIMITED: 2,
    pb.OUTCOME_PROVIDER_UNAVAILABLE: 1.5,
    pb.OUTCOME_UNAUTHORIZED: 0.5,
    pb.OUTCOME_LOST: 2,
}


class Figures(NamedTuple):
    """The result of a day."""

    runs: int
    tasks: int
    accepted: int
    attempts: int
    # The most sessions that ran at the same time.
    peak: int
    lost: int
    deaths: int
    leaders: int
    events: int
    simulated_hours: float
    violations: list[str]
    # SHA-256 of every event in order.
    digest: str


@dataclass
class _Worker:
    name: str
    joins: int
    # The ticks from and until which the worker is unreachable.
    since: int = 0
    away: int = 0


class Day:
    """One day with `agents` slots and five tasks for each."""

    def __init__(self, url: str, seed: int, agents: int) -> None:
        self._random = random.Random(seed)
        self._core = Core(url)
        count = max(agents // SLOTS, 1)
        # A quarter of the workers joins during the first hours.
        joins = [self._random.randrange(40) if place % 4 == 3 else 0 for place in range(count)]
        self._workers = {f"w{place}": _Worker(f"w{place}", join) for place, join in enumerate(joins)}
        total = max(agents // EPICS, 1)
        self._arrivals = sorted(self._random.randrange(6) for _ in range(total))
        self._names = [RunName(f"run{place}") for place in range(total)]
        self._created = 0
        self._tick = 0
        # (tick at which it ends, order, attempt)
        self._ends: list[tuple[int, int, AttemptName]] = []
        self._order = itertools.count()
        self._paused: dict[RunName, int] = {}
        self._peak = self._attempts = self._lost = self._deaths = self._leaders = 0

    def play(self) -> Figures:
        """Simulates until every run has ended; stops early if an invariant is violated."""
        core = self._core
        for self._tick in range(LAST_TICK):
            core.now += TICK
            self._arrive()
            self._change_workers()
            self._operate()
            self._deliver()
            self._schedule()
            self._peak = max(self._peak, len(core.processes))
            if core.violations or (self._created == len(self._names) and not self._going_on()):
                break
        else:
            core.watch._wrong.append("runs never end: " + ", ".join(self._going_on()))
        core.check_branches()
        figures = self._figures()
        core.close()
        return figures

    def _arrive(self) -> None:
        while self._created < len(self._names) and self._arrivals[self._created] <= self._tick:
            connected = [worker.name for worker in self._views()]
            if not connected:
                return
            worker = connected[self._created % len(connected)]
            plan = self._plan()
            # The epics of every other run can use all workers.
            project = URL if self._created % 2 else "/repository"
            width = self._random.choice([4, 5, 5, 5, 5])
            self._core.create(self._names[self._created], plan, worker, width, project)
            self._created += 1

    def _plan(self) -> pb.Plan:
        chance = self._random
        plan = pb.Plan(
            name="Day", defaults=pb.TaskDefaults(agent="scripted", retries=chance.choice([0, 1, 2]))
        )
        for place in range(EPICS):
            epic = plan.epics.add(key=f"e{place}", on_failure=chance.choice(pb.OnFailure.values()))
            if place and chance.random() < 0.05:
                epic.depends_on.append(f"e{chance.randrange(place)}")
            for number in range(TASKS):
                task = epic.tasks.add(key=f"t{number}", prompt="Go")
                if chance.random() < 0.5:
                    task.estimate.FromSeconds(round(self._minutes() * 60))
        return plan

    def _minutes(self) -> float:
        return MEDIAN * self._random.lognormvariate(0, SPREAD)

    def _views(self) -> list[WorkerView]:
        return [
            WorkerView(each.name, SLOTS)
            for each in self._workers.values()
            if each.joins <= self._tick and each.away <= self._tick
        ]

    def _change_workers(self) -> None:
        for worker in self._workers.values():
            if worker.away > self._tick or self._random.random() > 0.002:
                continue
            worker.since, worker.away = self._tick, self._tick + self._random.randint(1, 12)
            if self._random.random() < 0.5:
                self._deaths += 1
                for attempt in [each for each, where in self._core.processes.items() if where == worker.name]:
                    self._core.kill(attempt)
        if self._random.random() < 0.01:
            self._leaders += 1
            self._core.lead()

    def _operate(self) -> None:
        """Simulates operators' commands; refused ones change nothing."""
        chance, now = self._random, self._core.now
        works: list[Write] = []
        for run, until in list(self._paused.items()):
            if until <= self._tick:
                del self._paused[run]
                works.append(partial(runs_and_tasks.resume_run, name=run, actor="ada", now=now))
        self._resume_refused()
        run = self._names[chance.randrange(max(self._created, 1))]
        if self._created and chance.random() < 0.2:
            self._paused[run] = self._tick + chance.randint(1, 6)
            works.append(lambda connection: runs_and_tasks.pause_run(connection, run, "ada", now))
        if self._created and chance.random() < 0.01:
            works.append(lambda connection: runs_and_tasks.cancel_run(connection, run, "ada"))
        if self._core.processes and chance.random() < 0.1:
            attempt = chance.choice(list(self._core.processes))
            works.append(lambda connection: runs_and_tasks.stop(connection, attempt, "ada", now))
        if chance.random() < 0.1 and (failed := self._failed()):
            task = chance.choice(failed)
            works.append(
                lambda connection: runs_and_tasks.retry_task(
                    connection, task, "ada", runs_and_tasks.AgentChoice(), now
                )
            )
        for work in works:
            try:
                self._core.write(work)
            except HeddleError as refused:
                if refused.reason != pb.ERROR_REASON_WRONG_STATE:
                    raise

    def _resume_refused(self) -> None:
        """Resumes runs in one transaction: a refusal pauses most of them, and none of these is refused to resume."""
        resume = partial(runs_and_tasks.resume_run, actor="ada", now=self._core.now)
        if held := [partial(resume, name=each) for each in self._refused() if self._random.random() < 0.5]:
            self._core.write(*held)

    def _refused(self) -> list[RunName]:
        """Returns the runs that a provider's refusal has paused."""
        chosen = sa.select(runs.c.run).where(runs.c.state == pb.RUN_STATE_PAUSED, runs.c.held_by != "")
        with self._core.engine.connect() as connection:
            return [RunName(run) for run in connection.execute(chosen.order_by(runs.c.run)).scalars()]

    def _failed(self) -> list[TaskName]:
        chosen = sa.select(tasks.c.run, tasks.c.epic, tasks.c.task).where(
            tasks.c.state == pb.TASK_STATE_FAILED
        )
        with self._core.engine.connect() as connection:
            return [TaskName(*row) for row in connection.execute(chosen.order_by(*chosen.selected_columns))]

    def _deliver(self) -> None:
        """Ends the sessions that are due; an unreachable worker reports them when it is back."""
        core, connected = self._core, {worker.name for worker in self._views()}
        ended: list[Write] = []
        while self._ends and self._ends[0][0] <= self._tick:
            _, _, attempt = heapq.heappop(self._ends)
            if attempt not in core.processes or attempt in core.stopping:
                continue
            worker = core.processes[attempt]
            outcome = self._random.choices(list(_OUTCOMES), list(_OUTCOMES.values()))[0]
            if worker in connected:
                ended.append(core.end(attempt, outcome))
            else:
                heapq.heappush(self._ends, (self._workers[worker].away, next(self._order), attempt))
        for each in self._workers.values():
            if each.since + LEASE <= self._tick < each.away:
                ended += core.lose_worker(each.name)
        told = [each for each in sorted(core.stopping) if core.processes[each] in connected]
        ended += [core.end(each, pb.OUTCOME_STOPPED) for each in told]
        for attempt in sorted(core.lost):
            if self._worker_of(attempt) in connected:
                self._lost += 1
                ended.append(core.end(attempt, pb.OUTCOME_LOST))
        for merge in sorted(core.merges, key=str):
            merged = self._random.random() < 0.97
            ended.append(core.end_merge(merge, merged=merged))
        if ended:
            core.write(*ended)

    def _worker_of(self, attempt: AttemptName) -> str:
        if attempt in self._core.places:
            return self._core.places[attempt][1]
        with self._core.engine.connect() as connection:
            chosen = sa.select(runs.c.worker).where(runs.c.run == attempt.run)
            return str(connection.execute(chosen).scalar_one())

    def _schedule(self) -> None:
        """Decides until nothing changes."""
        while actions := self._core.tick(self._views()):
            for action in actions:
                if isinstance(action, StartTask):
                    self._attempts += 1
                    ticks = max(round(self._minutes() * MINUTE / TICK), 1)
                    heapq.heappush(self._ends, (self._tick + ticks, next(self._order), action.attempt))

    def _going_on(self) -> list[str]:
        with self._core.engine.connect() as connection:
            chosen = sa.select(runs.c.run).where(runs.c.state.not_in(ENDED_RUN))
            return list(connection.execute(chosen).scalars())

    def _figures(self) -> Figures:
        with self._core.engine.connect() as connection:
            states = list(connection.execute(sa.select(tasks.c.state)).scalars())
            digest = hashlib.sha256()
            for row in connection.execute(
                sa.select(run_events.c.event).order_by(run_events.c.run, run_events.c.sequence)
            ):
                digest.update(row.event)
        return Figures(
            runs=self._created,
            tasks=len(states),
            accepted=states.count(pb.TASK_STATE_ACCEPTED),
            attempts=self._attempts,
            peak=self._peak,
            lost=self._lost,
            deaths=self._deaths,
            leaders=self._leaders + 1,
            events=self._core.watch.events,
            simulated_hours=round(self._tick * TICK / MINUTE / 60, 1),
            violations=self._core.violations,
            digest=digest.hexdigest(),
        )


def simulate(folder: Path, seed: int, agents: int) -> Figures:
    """Simulates a day on a new SQLite database in `folder`."""
    url = f"sqlite:///{folder / f'day-{seed}-{time.monotonic_ns()}.db'}"
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return Day(url, seed, agents).play()


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates a day of many agents.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--agents", type=int, default=1000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heddle-day-") as folder:
        figures = simulate(Path(folder), options.seed, options.agents)
    for name, value in figures._asdict().items():
        print(f"{name:16} {value}")
    print(f"{'seconds':16} {time.monotonic() - began:.1f} ({time.process_time():.1f} of processor)")
    sys.exit(bool(figures.violations))


if __name__ == "__main__":
    main()
