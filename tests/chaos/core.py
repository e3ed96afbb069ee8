"""The scheduler's real policy and real store, with agents, git and time simulated in memory."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import Action, MergeEpic, MergeRun, StartTask, StopAttempt
from scheduler_svc.policy.pauses import OUTAGES
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.engine import WRITES, open_engine
from scheduler_svc.store.db.events import collecting
from scheduler_svc.store.db.leadership import _next_epoch, check_epoch
from scheduler_svc.store.db.tables import attempts, epics, runs
from scheduler_svc.store.outcomes import attempt_outcomes, merge_outcomes, provider_outages, session_ingest
from scheduler_svc.store.queries.assignments import Assignment, read_assignment
from scheduler_svc.store.queries.snapshot_query import observe
from scheduler_svc.store.rows import epics as epic_rows
from tests.chaos.store_watch import StoreWatch

Write = Callable[[sa.Connection], object]


class Core:
    """A leader whose sessions and merges keep running until a caller decides how they end.

    Every write goes through the functions that the services call, below a check
    of the epoch; afterwards the store is checked.
    """

    def __init__(self, url: str, now: int = 1_000_000) -> None:
        self.engine = open_engine(url)
        self.watch = StoreWatch()
        # Microseconds since 1970.
        self.now = now
        self.epoch = 0
        # The process table: which worker runs what.
        self.processes: dict[AttemptName, str] = {}
        # Live attempts whose processes are gone.
        self.lost: set[AttemptName] = set()
        self.stopping: set[AttemptName] = set()
        self.merges: dict[EpicName | RunName, None] = {}
        # Each epic's branch: the commits of its tasks, oldest first.
        self.branches: defaultdict[EpicName, list[str]] = defaultdict(list)
        self.limits: dict[str, int] = {}
        # Workers whose leases have expired.
        self.gone: set[str] = set()
        # The place of each attempt of an epic that has one: its epic and generation, and its worker.
        self.places: dict[AttemptName, tuple[tuple[EpicName, int], str]] = {}
        # The worker of each place, and the places that were lost.
        self._workers: dict[tuple[EpicName, int], str] = {}
        self._lost_places: set[tuple[EpicName, int]] = set()
        self._broken: list[str] = []
        self.lead()

    @property
    def violations(self) -> list[str]:
        return self._broken + self.watch.violations

    def close(self) -> None:
        self.engine.dispose()

    def lead(self) -> None:
        """Begins a new term; everything except the processes is read from the database."""
        with self.engine.connect() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                self.epoch = _next_epoch(connection, above=0)
                live = connection.execute(sa.select(attempts).where(attempts.c.ended_at.is_(None))).all()
                merges = connection.execute(
                    sa.select(epics.c.run, epics.c.epic).where(epics.c.merge_state == MergeState.MERGING)
                ).all()
                run_merges = connection.execute(
                    sa.select(runs.c.run).where(runs.c.merge_state == MergeState.MERGING)
                ).scalars()
                ends = [RunName(run) for run in run_merges]
        names = {AttemptName(row.run, row.epic, row.task, row.number): row for row in live}
        self.lost = names.keys() - self.processes.keys()
        self.stopping = {name for name, row in names.items() if row.stop_reason is not None} - self.lost
        self.merges = dict.fromkeys([*(EpicName(*row) for row in merges), *ends])

    def write(self, *works: Write, epoch: int | None = None) -> None:
        """Runs all writes in one transaction, as the leader of `epoch`; absent: as the current leader."""
        with self.engine.connect() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                check_epoch(connection, self.epoch if epoch is None else epoch)
                with collecting(connection):
                    for work in works:
                        work(connection)
        self.look()

    def look(self) -> None:
        """Checks the store, the process table and the branches."""
        with self.engine.connect() as connection, connection.begin():
            self.watch.look(connection)
        of_epic = Counter(name[:2] for name in self.processes)
        of_run = Counter(name.run for name in self.processes)
        self._broken += [f"{epic} has {count} processes" for epic, count in of_epic.items() if count > 1]
        self._broken += [
            f"{run} has {count} processes and may have {self.limits[run]}"
            for run, count in of_run.items()
            if count > self.limits[run]
        ]

    def check_branches(self) -> None:
        """Compares each branch with the accepted commits in the log."""
        for epic, commits in self.branches.items():
            accepted = self.watch.accepted(epic)
            held = commits[: len(accepted)] if self.watch.rewinds(epic) else commits
            if held != accepted:
                self._broken.append(f"{epic} has the commits {commits}, accepted were {accepted}")

    def create(
        self, name: RunName, plan: pb.Plan, worker: str, max_parallel: int, project: str = "/repository"
    ) -> None:
        request = pb.CreateRunRequest(plan=plan, project=project)
        base = _Base(worker, project, "c0ffee", "main", max_parallel)
        self.limits[name.run] = max_parallel
        self.write(lambda connection: _write(connection, name, request, base, actor="user:ada", now=self.now))

    def tick(self, workers: Iterable[WorkerView]) -> list[Action]:
        """Observes, decides and acts once; returns the actions that took effect."""
        workers = tuple(workers)
        self.gone -= {worker.name for worker in workers}
        with self.engine.connect() as connection, connection.begin():
            snapshot = observe(connection, workers, now=self.now, is_lost=self.gone.__contains__)
        held: list[Action] = []

        def write(connection: sa.Connection, action: Action) -> None:
            if act(connection, action, self.now):
                held.append(action)
                self._begin(connection, action)

        actions = decision.decide(snapshot)
        if actions:
            self.write(*(partial(write, action=action) for action in actions))
        for worker in workers:
            running = sum(where == worker.name for where in self.processes.values())
            if running > worker.slots:
                self._broken.append(f"worker {worker.name} has {running} processes in {worker.slots} slots")
        return held

    def _begin(self, connection: sa.Connection, action: Action) -> None:
        match action:
            case StartTask(attempt):
                assignment = read_assignment(connection, attempt)
                assert assignment
                self.processes[attempt] = assignment.worker
                self._note_place(attempt, assignment)
                self._rewind(attempt.parent.parent, assignment.rewind_to)
            case StopAttempt(attempt):
                self.stopping.add(attempt)
            case MergeEpic(name) | MergeRun(name):
                self.merges[name] = None
            case _:
                pass

    def _rewind(self, epic: EpicName, revision: str) -> None:
        commits = self.branches[epic]
        if (first := revision.removesuffix("^")) in commits:
            del commits[commits.index(first) :]

    def _note_place(self, attempt: AttemptName, assignment: Assignment) -> None:
        if not assignment.generation:
            return
        place = (attempt.parent.parent, assignment.generation)
        self.places[attempt] = (place, assignment.worker)
        if (
            place in self._lost_places
            or self._workers.setdefault(place, assignment.worker) != assignment.worker
        ):
            self._broken.append(f"{attempt} uses generation {assignment.generation} of another place")

    def lose_worker(self, worker: str) -> list[Write]:
        """Ends the lease of an unreachable worker; returns what the scheduler then writes about its placed attempts."""
        self.gone.add(worker)
        writes: list[Write] = []
        for attempt in sorted({*self.processes, *self.lost}):
            place, where = self.places.get(attempt, (None, ""))
            if place is None or where != worker:
                continue
            self._lost_places.add(place)
            outcome = pb.OUTCOME_STOPPED if attempt in self.stopping else pb.OUTCOME_LOST
            writes += (partial(epic_rows.lose_place, name=place[0]), self.end(attempt, outcome))
        return writes

    def kill(self, attempt: AttemptName) -> None:
        """Ends a process without any message."""
        del self.processes[attempt]
        self.stopping.discard(attempt)
        self.lost.add(attempt)

    def end(self, attempt: AttemptName, outcome: "pb.Outcome.ValueType") -> Write:
        """Ends a session; returns the write that the scheduler makes when it receives that."""
        self.processes.pop(attempt, None)
        self.lost.discard(attempt)
        self.stopping.discard(attempt)
        result = pb.SessionFinished(outcome=outcome)
        if outcome == pb.OUTCOME_SUCCEEDED:
            commit = hashlib.sha256(str(attempt).encode()).hexdigest()[:40]
            self.branches[attempt.parent.parent].append(commit)
            return partial(self._accept, attempt=attempt, result=result, commit=commit)
        return partial(self._fail, attempt=attempt, result=result)

    def _accept(
        self, connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, commit: str
    ) -> None:
        self._ingest(connection, attempt, result)
        committed = pb.CommitTaskResponse(commit=commit)
        attempt_outcomes.accept(connection, attempt, committed, self.now)

    def _fail(self, connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished) -> None:
        if result.outcome != pb.OUTCOME_LOST:
            self._ingest(connection, attempt, result)
        if result.outcome in OUTAGES and provider_outages.suspend(connection, attempt, result, self.now):
            return
        kept = pb.DiscardAttemptResponse()
        attempt_outcomes.fail(
            connection, attempt, result, kept, should_retry=decision.should_retry, now=self.now
        )

    def _ingest(self, connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished) -> None:
        said = [
            pb.Event(sequence=1, session_started=pb.SessionStarted(agent="scripted", process_id=1)),
            pb.Event(sequence=2, session_finished=result),
        ]
        session_ingest.ingest(connection, [session_ingest.Batch(attempt, said, self.now)])

    def end_merge(self, name: EpicName | RunName, *, merged: bool) -> Write:
        """Ends a merge; returns the write that the scheduler makes when it receives that."""
        self.merges.pop(name)
        target = name.parent.branch if isinstance(name, EpicName) else "main"
        if merged:
            run = name.parent if isinstance(name, EpicName) else name
            context = merge_outcomes.MergeContext(
                run, "", "/repository", target, "", squash=False, checks=pb.MergeChecks(), tested_tree=""
            )
            commits = [(name, "f00d")]
            return partial(
                merge_outcomes.record_merged,
                context=context,
                commits=commits,
                tree="",
                refused={},
                now=self.now,
            )
        conflict = pb.MergeConflicted(target_branch=target, files=["shared.txt"])
        return partial(
            merge_outcomes.record_conflict,
            name=name,
            conflict=conflict,
            reason="1 file conflicts",
            now=self.now,
        )
