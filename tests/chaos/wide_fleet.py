"""A day of a wide fleet in a minute: 20,000 epics on 2,000 places that come, die and are preempted.

The decisions are those of the real policy, and statuses move by the real table of transitions. The database, the
protocol of claims at the remote, agents and time are simulated in memory: a real database would take an hour for as
many tasks (`tests/chaos/simulator.py` has it, on a smaller fleet). Places are workers, or with --pods a pod for each epic.
The same seed gives the same day.

python -m tests.chaos.wide_fleet [--seed SEED] [--epics EPICS] [--places PLACES] [--pods]
"""

import argparse
import hashlib
import random
import statistics
import sys
import time
from collections import Counter
from typing import Final

from heddle import pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.model.lifecycle import transitions as moves
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import (
    Action,
    AskPlace,
    FailTask,
    FinishEpic,
    FinishRun,
    MergeEpic,
    MoveRun,
    NoteEpicWait,
    NoteWait,
    ReadyEpic,
    SkipTask,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.snapshot import PodsView, Snapshot
from tests.chaos.failing_places import LEASE, Place, Session, Sessions, Step
from tests.chaos.fenced_remote import Defects, FencedRemote
from tests.chaos.place_faults import NONE, Places
from tests.chaos.placed_rows import Rows, Run
from tests.chaos.wide_checks import cancels_end, lost_commits, needless_waits, sessions_fit
from tests.chaos.wide_figures import Figures
from tests.chaos.wide_plans import runs_of

# Minutes.
TICK: Final = 4
# Median of a task, and the spread of its logarithm.
MEDIAN: Final = 25.0
SPREAD: Final = 0.8

# Runs that have not ended by then never will.
LAST_TICK: Final = 5 * 24 * 60 // TICK

# Ticks until a cancelled run has ended at the latest: the lease of a place, and of the home that merges.
CANCEL: Final = 2 * LEASE + 8

_OUTCOMES: Final = {
    pb.OUTCOME_SUCCEEDED: 90,
    pb.OUTCOME_FAILED: 6,
    pb.OUTCOME_TIMED_OUT: 2,
    pb.OUTCOME_LOST: 2,
}


class Day:
    """One day of `epics` epics on at most `places` places."""

    def __init__(
        self, seed: int, epics: int, places: int, *, pods: bool = False, defects: Defects | None = None
    ) -> None:
        self._defects = defects or Defects()
        self._chance = random.Random(seed)
        self._now = 0
        self._room = places
        self._remote = FencedRemote(self._defects)
        self._rows = Rows(self._defects)
        self._sessions = Sessions(self._remote, self._chance)
        # With pods: why each epic that asked for one waits for it; None: places are workers.
        self._asked: dict[EpicName, str] | None = {} if pods else None
        # The names of all pods that were ever made.
        self._made: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._broken: list[str] = []
        self._cancels: list[int] = []
        self._digest = hashlib.sha256()
        # Of processor, for each decision; and how many epics all of them have looked at.
        self.seconds: list[float] = []
        self._looked_at = 0
        # Workers are also the homes of runs; with pods there are few.
        workers, slots = (max(places // 100, 2), 4) if pods else (places, 1)
        self._places = Places(self._chance, self._sessions, workers, slots, self._lose)
        # About as fast as the fleet can work.
        ticks = round(epics * 1.8 * (MEDIAN * 1.4 / TICK + 4) / places)
        self._coming = runs_of(self._chance, epics, places, ticks, labels=not pods)

    def play(self) -> Figures:
        """Simulates until every run has ended; stops early if an invariant is violated."""
        outcomes = iter(lambda: self._chance.choices(list(_OUTCOMES), list(_OUTCOMES.values()))[0], None)
        peak = peak_places = 0
        while self._now < LAST_TICK:
            self._now += 1
            self._arrive()
            self._places.advance(self._now)
            self._sessions.advance(self._now, outcomes)
            self._operate()
            self._hear()
            self._lead()
            self._schedule()
            self._broken += sessions_fit(self._rows, self._sessions, self._places)
            self._broken += cancels_end(self._rows, self._now, CANCEL)
            if self._settles and self._asked is None:
                self._broken += needless_waits(self._rows, self._sessions, self._places, self._now)
            peak = max(peak, sum(run.live for run in self._rows.runs.values()))
            peak_places = max(peak_places, len(self._places.existing()))
            if self.violations or not (self._coming or self._rows.runs):
                break
        else:
            self._broken.append("runs never end: " + ", ".join(map(str, self._rows.runs)))
        return self._figures(peak, peak_places)

    @property
    def violations(self) -> list[str]:
        return self._broken + self._remote.violations + self._rows.violations

    # The world.

    def _arrive(self) -> None:
        while self._coming and self._coming[0][0] < self._now:
            existing = self._places.existing()
            homes = [place.name for place in existing if place.connected(self._now) and not place.epic]
            if not homes:
                return
            _, run = self._coming.pop(0)
            run.worker = homes[len(self._coming) % len(homes)]
            self._rows.add(run)

    def _lose(self, worker: str) -> None:
        """Ends all attempts at a place whose lease has expired, or that does not exist any more."""
        for session in list(self._sessions.all.values()):
            if session.place.name == worker and self._rows.is_live(session.attempt):
                self._rows.lose_place(session.epic)
                # A leader that dies between the two writes makes the first one again.
                if self._chance.random() < 0.02:
                    self._rows.lose_place(session.epic)
                self._fail_attempt(session, pb.OUTCOME_LOST)

    def _operate(self) -> None:
        """Simulates operators, who pause, resume and cancel runs."""
        chance = self._chance
        if not self._rows.runs or chance.random() > 0.2:
            return
        run = chance.choice(list(self._rows.runs.values()))
        if run.status.state == pb.RUN_STATE_PAUSED:
            started = any(task.attempts for epic in run.epics.values() for task in epic.tasks)
            self._rows.move_run(run.name, moves.RUN_RESUME if started else moves.RUN_RESUME_PENDING)
        elif (
            chance.random() < 0.15 and run.status in moves.RUN_CANCEL.sources and len(run.epics) < self._room
        ):
            self._rows.move_run(run.name, moves.RUN_CANCEL)
            run.cancelled_at = self._now
        elif run.status in moves.RUN_PAUSE.sources and chance.random() < 0.1:
            self._rows.move_run(run.name, moves.RUN_PAUSE)

    # The leader.

    def _hear(self) -> None:
        """Takes in what sessions report, calls places, and ends merges."""
        for session in list(self._sessions.all.values()):
            live = self._rows.is_live(session.attempt)
            reached = session.place.connected(self._now)
            if live and reached:
                self._continue(session)
            elif reached or (session.dead and not live):
                # It has ended, and its place stops it.
                self._sessions.forget(session)
        for run in self._rows.runs.values():
            home = self._places.all.get(run.worker)
            if home and home.connected(self._now):
                self._merge(run)

    def _continue(self, session: Session) -> None:
        if session.dead:
            self._fail_attempt(session, pb.OUTCOME_LOST)
        elif self._rows.task(session.attempt.parent).stopping:
            self._fail_attempt(session, pb.OUTCOME_STOPPED)
        elif session.step is Step.ANSWER:
            self._end(session)
        elif session.step in {Step.CALL, Step.COMMIT}:
            commits = session.step is Step.COMMIT
            self._sessions.call(session)
            if commits and self._defects.before_push:
                self._rows.accept(session.attempt, session.commit)

    def _end(self, session: Session) -> None:
        if session.outcome != pb.OUTCOME_SUCCEEDED:
            self._fail_attempt(session, session.outcome)
            return
        if not self._remote.has(session.commit) or self._remote.read(session.epic).accepted != session.commit:
            self._broken.append(f"{session.attempt} is accepted and the remote does not have its commit")
        self._rows.accept(session.attempt, session.commit)
        self._sessions.forget(session)

    def _fail_attempt(self, session: Session, outcome: "pb.Outcome.ValueType") -> None:
        """Records how an attempt ended; a place without contact continues with its session."""
        stopping = self._rows.task(session.attempt.parent).stopping
        outcome = pb.OUTCOME_STOPPED if stopping else outcome
        self._counts["lost"] += outcome == pb.OUTCOME_LOST
        self._rows.fail(session.attempt, outcome)
        if session.dead or session.place.connected(self._now):
            self._sessions.forget(session)

    def _merge(self, run: Run) -> None:
        for epic in run.epics.values():
            if epic.status in moves.EPIC_MERGED.sources:
                if self._chance.random() < 0.97:
                    self._rows.move_epic(epic.name, moves.EPIC_MERGED)
                else:
                    self._rows.move_epic(epic.name, moves.EPIC_CONFLICT, "1 file conflicts")

    def _lead(self) -> None:
        """Sometimes, another leader continues: it knows only what is recorded."""
        if self._chance.random() < 0.02:
            self._counts["leaders"] += 1
            self._sessions.repeat_calls()
            if self._asked:
                self._asked.clear()

    def _snapshot(self) -> Snapshot:
        placed = {epic.worker for run in self._rows.runs.values() for epic in run.epics.values()}
        placed |= {run.worker for run in self._rows.runs.values()}
        # Nothing else can ask about them.
        self._places.lost &= placed
        return Snapshot(
            self._rows.views(),
            tuple(place.view(self._now) for place in self._places.existing() if place.ready <= self._now),
            lost=frozenset(self._places.lost),
            pods=None if self._asked is None else PodsView(dict(self._asked)),
        )

    def _schedule(self) -> None:
        """Decides once; sometimes until nothing changes, which is then checked."""
        if self._asked is not None:
            self._keep_up_pods(self._asked)
        while True:
            snapshot = self._snapshot()
            began = time.process_time()
            actions = decision.decide(snapshot)
            self.seconds.append(time.process_time() - began)
            self._looked_at += sum(len(run.epics) for run in snapshot.runs)
            for action in actions:
                self._digest.update(repr(action).encode())
                self._act(action)
            if not self._settles or all(isinstance(action, AskPlace) for action in actions):
                return

    @property
    def _settles(self) -> bool:
        return self._now % 10 == 0

    def _keep_up_pods(self, asked: dict[EpicName, str]) -> None:
        """Makes the pods that epics have asked for, within the quota, and releases those that none needs."""
        used: set[str] = set()
        alive = len(self._places.existing())
        for name in list(asked):
            run = self._rows.runs.get(name.parent)
            epic = run.epics[name.epic] if run else None
            if epic is None or epic.status.state in ENDED_EPIC or any(task.live for task in epic.tasks):
                del asked[name]
                continue
            generation = epic.generation + 1
            pod = f"{name.run}-{name.epic}-{generation}"
            place = self._places.all.get(pod)
            if pod in self._made and (place is None or place.ends is not None):
                self._rows.skip_place(name, generation)
                del asked[name]
            elif place is None and alive >= self._room:
                asked[name] = "the quota of pods is used up"
            else:
                used.add(pod)
                if place is None:
                    alive += 1
                    self._made.add(pod)
                    starts = self._now + self._chance.randint(1, 3)
                    self._places.all[pod] = Place(pod, 1, NONE, name, ready=starts)
        for run in self._rows.runs.values():
            used |= {epic.worker for epic in run.epics.values() if epic.status.state not in ENDED_EPIC}
        for place in self._places.existing():
            if place.epic and place.name not in used:
                self._places.remove(place)

    def _act(self, action: Action) -> None:  # noqa: C901, PLR0912 (one branch for each kind of action)
        rows = self._rows
        if action.run_name not in rows.runs:
            # An earlier action has ended its run.
            return
        match action:
            case ReadyEpic(epic):
                rows.move_epic(epic, moves.EPIC_READY)
            case StartTask(attempt, worker=worker):
                rows.start(attempt, worker)
                self._begin(attempt)
                self._counts["moved"] += action.left != ""
            case AskPlace(epic) if self._asked is not None:
                self._asked.setdefault(epic, "the place has been asked for")
            case StopAttempt(attempt):
                rows.ask_to_stop(attempt)
            case NoteWait(run, reason):
                rows.note_wait(run, reason)
            case NoteEpicWait(epic, reason):
                rows.note_epic_wait(epic, reason)
            case MoveRun(run, worker):
                rows.move_home(run, worker)
            case SkipTask(task):
                rows.move_task(task, moves.TASK_SKIP)
            case FailTask(task):
                rows.move_task(task, moves.TASK_LOSE_NEED)
            case MergeEpic(epic):
                rows.move_epic(epic, moves.EPIC_MERGE)
            case FinishEpic(epic, state):
                rows.move_epic(epic, moves.EPIC_FINISH[state])
                self._broken += lost_commits(rows.epic(epic), self._remote)
            case FinishRun(run, state):
                if (since := rows.run(run).cancelled_at) is not None:
                    self._cancels.append(self._now - since)
                rows.finish(run, state)
            case _:
                raise NotImplementedError(action)

    def _begin(self, attempt: AttemptName) -> None:
        epic = self._rows.epic(attempt.parent.parent)
        place = self._places.all[epic.worker]
        minutes = MEDIAN * self._chance.lognormvariate(0, SPREAD)
        ticks = max(round(minutes / TICK), 1)
        self._counts["attempts"] += 1
        self._sessions.begin(Session(attempt, place, epic.generation, epic.head, ticks))

    def _figures(self, peak: int, peak_places: int) -> Figures:
        runs = [*self._rows.ended.values(), *self._rows.runs.values()]
        epics = [epic for run in runs for epic in run.epics.values()]
        tasks = [task for epic in epics for task in epic.tasks]
        counts, befell = self._counts, self._places.counts
        return Figures(
            epics=len(epics),
            places=len(self._made) + self._places.workers_ever,
            peak_places=peak_places,
            tasks=len(tasks),
            accepted=sum(task.status.state == pb.TASK_STATE_ACCEPTED for task in tasks),
            attempts=counts["attempts"],
            peak=peak,
            lost=counts["lost"],
            moved=counts["moved"],
            crashed=befell["crashed"],
            wiped=befell["wiped"],
            frozen=befell["frozen"],
            cut=befell["cut"] + befell["offline"],
            drained=befell["drained"] + befell["full"],
            gone=befell["gone"],
            refused=self._remote.refused,
            leaders=counts["leaders"] + 1,
            cancelled=len(self._cancels),
            slowest_cancel=max(self._cancels, default=0) * TICK,
            decisions=len(self.seconds),
            looked_at=self._looked_at,
            simulated_hours=round(self._now * TICK / 60, 1),
            violations=self.violations,
            digest=self._digest.hexdigest(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates a day of a wide fleet.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--epics", type=int, default=20_000)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument("--pods", action="store_true", help="a pod for each epic, instead of workers")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    day = Day(options.seed, options.epics, options.places, pods=options.pods)
    figures = day.play()
    for name, value in figures._asdict().items():
        print(f"{name:16} {value}")
    median, slowest = 1000 * statistics.median(day.seconds), 1000 * max(day.seconds)
    each = 1e6 * sum(day.seconds) / figures.looked_at
    print(f"{'decision':16} {median:.1f} ms of processor, at most {slowest:.1f} ms; {each:.1f} us an epic")
    print(f"{'seconds':16} {time.monotonic() - began:.1f} ({time.process_time():.1f} of processor)")
    sys.exit(bool(figures.violations))


if __name__ == "__main__":
    main()
