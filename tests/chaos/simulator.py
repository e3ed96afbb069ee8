"""A day of many agents in seconds: the real policy and the real store, everything else simulated.

Workers join late, die with their sessions or become unreachable while those continue, and the epics of half of the
runs then continue on other workers; attempts fail, are lost or hit rate limits; reviewers reject work; candidates of
a task run at the same time; agents draft plans; the project's branch moves and conflicts; operators pause, stop,
retry, cancel, choose, decide about conflicts and change the plans of runs; leaders change. The same seed gives the
same day, event by event.

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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.tables import run_events, runs, tasks
from tests.chaos.core import Core
from tests.chaos.operators import Operators

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

# The chance that a task has a review, candidates, or a need of another epic; and that an epic follows the project's
# branch.
REVIEWED: Final = 0.06
TRIED: Final = 0.03
NEEDY: Final = 0.01
SYNCED: Final = 0.3

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
    # How often a reviewer rejected work, a candidate was chosen, a plan was changed, an agent drafted a plan, an epic
    # was held because of a conflict with the project's branch, or a task started whose need was accepted.
    rejections: int
    choices: int
    changes: int
    drafts: int
    holds: int
    needs: int
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
        self._operators = Operators(self._core, self._random)
        self._drafts = 0
        self._peak = self._attempts = self._lost = self._deaths = self._leaders = 0

    def play(self) -> Figures:
        """Simulates until every run has ended; stops early if an invariant is violated."""
        core = self._core
        for self._tick in range(LAST_TICK):
            core.now += TICK
            self._arrive()
            self._change_workers()
            self._operators.act(self._names[: self._created], self._tick)
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
            if self._random.random() < 0.1:
                self._core.draft(RunName(f"draft{self._drafts}"), worker, self._random.randrange(3), project)
                self._drafts += 1

    def _plan(self) -> pb.Plan:
        chance = self._random
        plan = pb.Plan(
            name="Day", defaults=pb.TaskDefaults(agent="scripted", retries=chance.choice([0, 1, 2]))
        )
        for place in range(EPICS):
            epic = plan.epics.add(key=f"e{place}", on_failure=chance.choice(pb.OnFailure.values()))
            if place and chance.random() < 0.05:
                epic.depends_on.append(f"e{chance.randrange(place)}")
            if chance.random() < SYNCED:
                epic.sync = pb.SYNC_POLICY_BETWEEN_TASKS
            for number in range(TASKS):
                task = epic.tasks.add(key=f"t{number}", prompt="Go")
                self._vary(task, place)
        return plan

    def _vary(self, task: pb.PlanTask, place: int) -> None:
        """Gives a task of the epic with this place what only some tasks have."""
        chance = self._random
        if chance.random() < 0.5:
            task.estimate.FromSeconds(round(self._minutes() * 60))
        if chance.random() < REVIEWED:
            task.reviews.add(agent="command:review", blocking=chance.random() < 0.8)
        if chance.random() < TRIED:
            task.candidates.extend([pb.PlanCandidate()] * chance.randint(2, 3))
            task.score = chance.choice(["", "score"])
            if chance.random() < 0.5:
                task.choose.agent = "command:review"
        if place and chance.random() < NEEDY:
            task.needs.append(f"e{chance.randrange(place)}/t{chance.randrange(TASKS)}")

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

    def _deliver(self) -> None:
        """Ends the sessions that are due; an unreachable worker reports them when it is back."""
        core, connected = self._core, {worker.name for worker in self._views()}
        ended = core.catch_up()
        while self._ends and self._ends[0][0] <= self._tick:
            _, _, attempt = heapq.heappop(self._ends)
            if attempt not in core.processes or attempt in core.stopping:
                continue
            worker = core.processes[attempt]
            outcome = self._random.choices(list(_OUTCOMES), list(_OUTCOMES.values()))[0]
            if worker in connected:
                rejects, score = self._random.random() < 0.3, self._random.randrange(3)
                ended.append(core.end(attempt, outcome, rejects=rejects, score=score))
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
        kinds: Counter[str] = Counter()
        with self._core.engine.connect() as connection:
            states = list(
                connection.execute(sa.select(tasks.c.state).where(tasks.c.candidate == 0)).scalars()
            )
            digest = hashlib.sha256()
            for row in connection.execute(
                sa.select(run_events.c.event).order_by(run_events.c.run, run_events.c.sequence)
            ):
                digest.update(row.event)
                kinds[_kind(pb.Event.FromString(row.event))] += 1
        return Figures(
            runs=self._created,
            tasks=len(states),
            accepted=states.count(pb.TASK_STATE_ACCEPTED),
            attempts=self._attempts,
            peak=self._peak,
            lost=self._lost,
            rejections=kinds["rejection"],
            choices=kinds["candidate_chosen"],
            changes=kinds["plan_applied"],
            drafts=self._drafts,
            holds=kinds["sync_conflicted"],
            needs=self._core.met_needs,
            deaths=self._deaths,
            leaders=self._leaders + 1,
            events=self._core.watch.events,
            simulated_hours=round(self._tick * TICK / MINUTE / 60, 1),
            violations=self._core.violations,
            digest=digest.hexdigest(),
        )


def _kind(event: pb.Event) -> str:
    rejects = event.HasField("review_finished") and event.review_finished.rejected
    return "rejection" if rejects else str(event.WhichOneof("payload"))


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
