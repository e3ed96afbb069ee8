"""The invariants of a run's log, checked event by event."""

from collections import Counter
from collections.abc import Mapping, Sequence

from heddle import pb
from heddle.names import CANDIDATE


class Audit:
    """Reads the log of one run and records every violated invariant.

    `plan` has the tasks of each epic in the order in which they must run.
    """

    def __init__(self, run: str, plan: Mapping[str, Sequence[str]]) -> None:
        self.violations: list[str] = []
        # The commits of the accepted tasks of each epic, in the order of acceptance.
        self.commits: dict[str, list[str]] = {epic: [] for epic in plan}
        self.accepted: dict[str, list[str]] = {epic: [] for epic in plan}
        self.last = 0
        self.ended = False
        self._run = run
        self._plan = plan
        # Per worktree, that of an epic or of its candidates with one number: the task and attempt that occupy it.
        self._live: dict[str, tuple[str, int]] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._over: set[tuple[str, str]] = set()
        self._put_back: set[str] = set()
        # How often each task was reset after it had been accepted.
        self.reopened: Counter[tuple[str, str]] = Counter()
        # Epics whose branches still contain commits that were set aside.
        self.rewinding: set[str] = set()
        self._paused = False
        # Tasks whose next attempts take over the work of a candidate.
        self._chosen: set[tuple[str, str]] = set()
        # Tasks that are tried, or whose work is under review: they continue before a task that was put back.
        self._underway: set[tuple[str, str]] = set()
        # The attempt whose work is, or was last, under review.
        self._submitted: dict[tuple[str, str], int] = {}

    def replan(self, plan: Mapping[str, Sequence[str]]) -> None:
        """Continues with the new plan of the run; whatever was accepted must be in it."""
        for epic, accepted in self.accepted.items():
            if lost := [task for task in accepted if task not in plan.get(epic, ())]:
                self._broken(f"the new plan lacks the accepted {epic}/{lost[0]}")
        self._plan = plan
        for epic in plan:
            self.commits.setdefault(epic, [])
            self.accepted.setdefault(epic, [])

    def take(self, event: pb.Event) -> None:  # noqa: C901, PLR0912, PLR0915 (one branch for each kind of event)
        """Checks the next event."""
        if event.sequence != self.last + 1:
            self._broken(f"event {event.sequence} follows event {self.last}")
        self.last = event.sequence
        match event.WhichOneof("payload"):
            case "task_started":
                self._started(event)
            case "task_accepted":
                self._accepted(event)
            case "review_requested":
                self._ended(event)
                self._submitted[event.epic, event.task] = event.attempt
                self._underway.add((event.epic, _whole(event.task)))
            case "review_finished":
                self._ended(event)
            case "candidates_started":
                tried = range(1, event.candidates_started.count + 1)
                self._over -= {(event.epic, f"{event.task}{CANDIDATE}{number}") for number in tried}
                self._chosen.discard((event.epic, event.task))
                self._underway.add((event.epic, event.task))
            case "candidate_chosen":
                # In an attempt, an agent has compared them.
                if event.attempt:
                    self._ended(event)
                self._chosen.add((event.epic, event.task))
            case "candidate_passed":
                if event.attempt != self._submitted.get((event.epic, event.task)):
                    self._ended(event)
                self._over.add((event.epic, event.task))
            case "task_failed":
                # Without an attempt, a task that it needs was not accepted; with one under review, its review has ended.
                if event.attempt and event.attempt != self._submitted.get((event.epic, event.task)):
                    self._ended(event)
                if not event.task_failed.will_retry:
                    self._over.add((event.epic, event.task))
            # Without an attempt, it waits for the choice of a candidate.
            case "task_waiting" if event.task_waiting.parked and event.attempt:
                self._ended(event)
            case "task_skipped":
                self._over.add((event.epic, event.task))
            case "epic_ready" if event.task:
                self._over.discard((event.epic, event.task))
                self._underway.discard((event.epic, event.task))
                self._put_back.add(event.epic)
            case "task_reopened":
                self._reopened(event)
            case "merge_started" if event.epic in self.rewinding:
                self._broken(f"{event.epic} is merged with what was set aside")
            case "run_paused":
                self._paused = True
            case "run_resumed":
                self._paused = self.ended = False
            case "run_finished":
                self._finished()

    def _started(self, event: pb.Event) -> None:
        epic, task = event.epic, event.task
        what = f"attempt {event.attempt} of {epic}/{task}"
        worktree = _worktree_of(epic, task)
        if other := self._live.get(worktree):
            self._broken(f"{what} overlaps attempt {other[1]} of {epic}/{other[0]}")
        if event.attempt != self._attempts.get((epic, task), 0) + 1:
            self._broken(f"{what} follows attempt {self._attempts.get((epic, task), 0)}")
        # Work that is done is taken over while its run is paused.
        if (self._paused and (epic, task) not in self._chosen) or self.ended:
            self._broken(f"{what} starts in a run that is {'paused' if self._paused else 'over'}")
        if (epic, task) in self._over:
            self._broken(f"{what} starts although its task is over")
        # Candidates are no tasks of the plan, and start in the place of theirs.
        order = [each for each in self._plan[epic] if CANDIDATE not in each]
        before = order[: order.index(_whole(task))]
        waiting = [each for each in before if (epic, each) not in self._over]
        if waiting and (epic, _whole(task)) not in self._underway:
            self._broken(f"{what} starts before {waiting[0]}")
        self._attempts[epic, task] = event.attempt
        self.rewinding.discard(epic)
        self._live[worktree] = (task, event.attempt)

    def _ended(self, event: pb.Event) -> None:
        if self._live.pop(_worktree_of(event.epic, event.task), None) != (event.task, event.attempt):
            self._broken(f"attempt {event.attempt} of {event.epic}/{event.task} ends without being live")

    def _accepted(self, event: pb.Event) -> None:
        epic, task = event.epic, event.task
        if event.attempt != self._submitted.get((epic, task)):
            self._ended(event)
        if task in self.accepted[epic]:
            self._broken(f"{epic}/{task} is accepted twice")
        self.accepted[epic].append(task)
        self.commits[epic].append(event.task_accepted.commit)
        self._over.add((epic, task))
        places = [self._plan[epic].index(each) for each in self.accepted[epic]]
        # A task that an operator resets is accepted after tasks that follow it in the plan.
        if places != sorted(places) and epic not in self._put_back:
            self._broken(f"tasks of {epic} were accepted in the order {self.accepted[epic]}")

    def _reopened(self, event: pb.Event) -> None:
        epic, task = event.epic, event.task
        if epic in self._live:
            self._broken(f"{epic}/{task} is reopened beside attempt {self._live[epic]}")
        self._over.discard((epic, task))
        self._underway.discard((epic, task))
        if not event.task_reopened.commit:
            return
        if event.task_reopened.commit not in self.commits[epic]:
            self._broken(f"{epic}/{task} is reopened and was not accepted")
            return
        self.commits[epic].remove(event.task_reopened.commit)
        self.accepted[epic].remove(task)
        self.reopened[epic, task] += 1
        self.rewinding.add(epic)

    def _finished(self) -> None:
        self.ended = True
        if self._live:
            self._broken(f"the run ends while {sorted(self._live)} have live attempts")

    def _broken(self, what: str) -> None:
        self.violations.append(f"{self._run}: {what}")


def _whole(task: str) -> str:
    """Returns the task of the plan that a candidate tries; any other is that itself."""
    return task.partition(CANDIDATE)[0]


def _worktree_of(epic: str, task: str) -> str:
    """Returns the key of the epic, or EPIC@N for a candidate TASK@N."""
    _, separator, number = task.partition(CANDIDATE)
    return f"{epic}{separator}{number}"
