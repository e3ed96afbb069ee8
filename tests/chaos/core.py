"""The scheduler's real policy and real store, with agents, git and time simulated in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.drafts.request import drafting_plan
from heddle.names import CANDIDATE, AttemptName, EpicName, RunName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import Drafting, _Base, _write
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import Action, MergeEpic, MergeRun, StartTask, StopAttempt
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db.engine import WRITES, open_engine
from scheduler_svc.store.db.events import collecting
from scheduler_svc.store.db.leadership import _next_epoch, check_epoch
from scheduler_svc.store.db.tables import attempts, epics, runs
from scheduler_svc.store.outcomes import merge_outcomes
from scheduler_svc.store.queries import records
from scheduler_svc.store.queries.assignments import Assignment, read_assignment
from scheduler_svc.store.queries.snapshot_query import observe
from scheduler_svc.store.rows import epics as epic_rows
from tests.chaos.project_branch import ProjectBranch
from tests.chaos.session_ends import SessionEnds, Write
from tests.chaos.store_watch import StoreWatch


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
        # Attempts that take over the work of a candidate: live, without a process.
        self.take_overs: set[AttemptName] = set()
        # Processes whose worktree must take in the project's branch before they work.
        self.preparing: set[AttemptName] = set()
        self.base = ProjectBranch()
        # How many accepted tasks of other epics attempts have started with.
        self.met_needs = 0
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
        self._assigned: dict[AttemptName, Assignment] = {}
        self._ends = SessionEnds(self.branches, self._broken)
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
        self.lost = names.keys() - self.processes.keys() - self.take_overs
        asked = {name for name, row in names.items() if row.stop_reason is not None}
        self.stopping = asked & self.processes.keys()
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
        of_worktree = Counter(name.workspace for name in self.processes)
        of_run = Counter(name.run for name in self.processes)
        self._broken += [f"{name} has {count} processes" for name, count in of_worktree.items() if count > 1]
        tasks_of = defaultdict(set)
        for name in {*self.processes, *self.take_overs}:
            tasks_of[name.parent.parent].add((name.task.partition(CANDIDATE)[0], bool(name.parent.candidate)))
        self._broken += [
            f"{epic} runs {sorted(those)} at the same time"
            for epic, those in tasks_of.items()
            if len(those) > 1
        ]
        self._broken += [
            f"{run} has {count} processes and may have {self.limits[run]}"
            for run, count in of_run.items()
            if count > self.limits[run]
        ]

    def check_branches(self) -> None:
        """Compares each branch with the accepted commits in the log."""
        for epic, commits in self.branches.items():
            accepted = self.watch.accepted(epic)
            # A draft is accepted without a commit.
            accepted = [commit for commit in accepted if commit]
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

    def draft(self, name: RunName, worker: str, rounds: int, project: str = "/repository") -> None:
        """Creates a run that drafts a plan, whose problems go back to its agent up to `rounds` times."""
        asked = pb.DraftPlanRequest(goal="Make it better", project=project, agent="scripted", rounds=rounds)
        request = pb.CreateRunRequest(plan=drafting_plan(asked, ()), project=project)
        base = _Base(worker, project, "c0ffee", "main", 1)
        self.limits[name.run] = 1
        write = partial(
            _write,
            name=name,
            request=request,
            base=base,
            actor="user:ada",
            now=self.now,
            drafting=Drafting(asked, 0),
        )
        self.write(write)

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
                self._assigned[attempt] = assignment
                if assignment.takes_over:
                    self.take_overs.add(attempt)
                else:
                    self.processes[attempt] = assignment.worker
                if assignment.base:
                    self.preparing.add(attempt)
                self._note_place(attempt, assignment)
                self._rewind(attempt.parent.parent, assignment.rewind_to)
                self._check_start(connection, attempt, assignment)
            case StopAttempt(attempt) if attempt in self.processes:
                self.stopping.add(attempt)
            case MergeEpic(name) | MergeRun(name):
                self.merges[name] = None
            case _:
                pass

    def _rewind(self, epic: EpicName, revision: str) -> None:
        commits = self.branches[epic]
        if (first := revision.removesuffix("^")) in commits:
            del commits[commits.index(first) :]

    def _check_start(self, connection: sa.Connection, attempt: AttemptName, assignment: Assignment) -> None:
        """Checks that an attempt may start: what it needs is accepted, and its epic is not held."""
        run = attempt.parent.parent.parent
        row = records.epic_row(connection, attempt.parent.parent)
        if row.sync_state == pb.SYNC_STATE_HELD:
            self._broken.append(f"{attempt} starts although its epic is held")
        for need in assignment.spec.needs:
            task = run.epic(need.partition("/")[0]).task(need.partition("/")[2])
            needed = records.task_row(connection, task)
            if needed is None or not (needed.state == pb.TASK_STATE_ACCEPTED or needed.skipped_by):
                self._broken.append(f"{attempt} starts before {need}, which it needs")
        self.met_needs += len(assignment.needed)
        missing = set(assignment.needed) - {commit for each in self.branches.values() for commit in each}
        if missing:
            self._broken.append(f"{attempt} needs {sorted(missing)}, which no branch has")

    def prepare(self, attempt: AttemptName) -> Write:
        """Takes the project's branch into a worktree; returns the scheduler's write, which may end the attempt."""
        self.preparing.discard(attempt)
        assignment = self._assigned[attempt]
        write, held = self.base.take_in(attempt, assignment, self.now)
        if held:
            del self.processes[attempt]
            self.stopping.discard(attempt)
        return write

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
        for attempt in sorted({*self.processes, *self.lost, *self.take_overs}):
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
        self.preparing.discard(attempt)
        self.lost.add(attempt)

    def end(
        self,
        attempt: AttemptName,
        outcome: "pb.Outcome.ValueType",
        *,
        rejects: bool = False,
        score: float = 0,
    ) -> Write:
        """Ends a session; returns the write that the scheduler makes when it receives that.

        `rejects`: a reviewer finds an error, or a drafted plan has problems. `score` is that of a candidate whose task has a score command.
        """
        for of_session in (self.lost, self.stopping, self.preparing, self.take_overs):
            of_session.discard(attempt)
        self.processes.pop(attempt, None)
        assignment = self._assigned[attempt]
        merged = self.base.resolved(attempt) if outcome == pb.OUTCOME_SUCCEEDED else ""
        return self._ends.write(
            attempt, assignment, outcome, self.now, rejects=rejects, score=score, merged=merged
        )

    def catch_up(self) -> list[Write]:
        """Prepares all worktrees, and takes over the work of chosen candidates; returns the writes that follow."""
        taken = [self.end(each, pb.OUTCOME_SUCCEEDED) for each in sorted(self.take_overs)]
        return [*taken, *(self.prepare(each) for each in sorted(self.preparing))]

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
