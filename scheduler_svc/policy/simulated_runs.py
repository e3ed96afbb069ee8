"""Simulates runs in memory: applies the actions of `policy.decide` without a database, git or agents."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import (
    Action,
    AskForChoice,
    AwaitMerge,
    ChooseCandidate,
    DenyOverdue,
    FailCandidates,
    FailTask,
    FinishEpic,
    FinishRun,
    HoldEpic,
    MergeEpic,
    MergeRun,
    MoveRun,
    NoteEpicWait,
    NoteWait,
    ParkAttempt,
    PauseRun,
    ReadyEpic,
    ResolveConflict,
    SkipTask,
    StartCandidates,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.snapshot import EpicView, Snapshot, TaskView


class Board:
    """A mutable copy of a snapshot that applies actions instantly.

    Sessions and merges stay in progress until `end_attempt`, `end_merge` and
    `end_run_merge` end them.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.runs = {run.name: run for run in snapshot.runs}
        self.ended: dict[RunName, FinishRun] = {}
        self.workers = snapshot.workers
        self.typical_seconds = snapshot.typical_seconds

    @property
    def snapshot(self) -> Snapshot:
        runs = tuple(run for name, run in self.runs.items() if name not in self.ended)
        return Snapshot(runs, self.workers, self.typical_seconds)

    def settle(self) -> list[Action]:
        """Decides and acts until no action is left; returns all actions."""
        done: list[Action] = []
        while actions := decision.decide(self.snapshot):
            for action in actions:
                self.act(action)
            done += actions
        return done

    def act(self, action: Action) -> None:  # noqa: C901, PLR0912, PLR0915 (one branch per kind of action)
        """Applies an action as the scheduler's loop would in the database."""
        match action:
            case ReadyEpic(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_READY)
            case StartTask(attempt, worker=worker):
                task = self.task(attempt.parent)
                if attempt.number != task.attempts + 1:
                    raise ValueError(f"{attempt} is not the next of its task")
                self.change_task(
                    attempt.parent, state=pb.TASK_STATE_RUNNING, attempts=attempt.number, live_attempt=attempt
                )
                epic = attempt.parent.parent
                self.change_epic(
                    epic,
                    state=pb.EPIC_STATE_RUNNING,
                    worker=worker or self.epic(epic).worker,
                    waits_for="" if worker not in {"", self.epic(epic).worker} else self.epic(epic).waits_for,
                )
            case StopAttempt(attempt):
                self.change_task(attempt.parent, stopping=True)
            case ParkAttempt(attempt):
                self.change_task(
                    attempt.parent, state=pb.TASK_STATE_WAITING, live_attempt=None, parkable=False
                )
            case DenyOverdue(attempt):
                self.change_task(attempt.parent, state=pb.TASK_STATE_PENDING, resumes=True, overdue=False)
            case HoldEpic(epic, spent):
                self.change_epic(epic, over_budget=spent is not None)
            case PauseRun(run):
                self.runs[run] = replace(self.runs[run], state=pb.RUN_STATE_PAUSED)
            case NoteWait(run, reason):
                self.runs[run] = replace(self.runs[run], waits_for=reason)
            case NoteEpicWait(epic, reason):
                self.change_epic(epic, waits_for=reason)
            case MoveRun(run, worker):
                self.runs[run] = replace(self.runs[run], worker=worker)
            case SkipTask(name):
                self.change_task(name, state=pb.TASK_STATE_SKIPPED)
            case FailTask(name) | FailCandidates(name):
                self.change_task(name, state=pb.TASK_STATE_FAILED)
            case StartCandidates(name):
                self._start_candidates(name)
            case AskForChoice(name):
                self.change_task(name, state=pb.TASK_STATE_WAITING)
            case ChooseCandidate(name, candidate):
                self.choose(name, candidate)
            case MergeEpic(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_MERGING, merging=True)
            case AwaitMerge(epic):
                self.change_epic(epic, state=pb.EPIC_STATE_AWAITING_MERGE)
            case ResolveConflict(name):
                view = self.epic(name)
                key = f"resolve-{len(view.tasks)}"
                task = TaskView(TaskName(*name, key), pb.TASK_STATE_PENDING, attempts=0, resolves=True)
                self.change_epic(name, tasks=(*view.tasks, task), conflict="", state=pb.EPIC_STATE_RUNNING)
            case FinishEpic(epic, state):
                self.change_epic(epic, state=state)
            case MergeRun(run):
                self.runs[run] = replace(self.runs[run], merging_into=True)
            case FinishRun(run):
                self.ended[run] = action

    def end_attempt(self, name: TaskName, state: "pb.TaskState.ValueType") -> None:
        """Ends the live attempt of a task and sets the task to `state`."""
        self.change_task(name, state=state, live_attempt=None, stopping=False)

    def choose(self, name: TaskName, candidate: int) -> None:
        """Chooses a candidate; all of them have ended."""
        self.change_task(name, state=pb.TASK_STATE_PENDING, chosen=candidate)

    def _start_candidates(self, name: TaskName) -> None:
        task = self.task(name)
        before = {lane.name.candidate: lane.attempts for lane in task.lanes}
        lanes = tuple(
            TaskView(
                name.of_candidate(number),
                pb.TASK_STATE_PENDING,
                before.get(number, 0),
                task.estimate,
                whole=name,
            )
            for number in range(1, task.candidates + 1)
        )
        self.change_task(name, state=pb.TASK_STATE_RUNNING, lanes=lanes, chosen=0)

    def end_merge(self, epic: EpicName, *, merged: bool) -> None:
        """Ends the merge of an epic."""
        self.change_epic(epic, merging=False, merged=merged, conflict="" if merged else "1 file conflicts")

    def end_run_merge(self, run: RunName, *, merged: bool) -> None:
        """Ends the merge into the user's branch."""
        self.runs[run] = replace(
            self.runs[run], merging_into=False, merged_into=True, merge_into_conflict=not merged
        )

    def task(self, name: TaskName) -> TaskView:
        return next(task for task in self.epic(name.parent).sessions if task.name == name)

    def epic(self, name: EpicName) -> EpicView:
        return next(epic for epic in self.runs[name.parent].epics if epic.name == name)

    def tasks(self) -> Sequence[TaskView]:
        return [task for run in self.runs.values() for epic in run.epics for task in epic.tasks]

    def live(self) -> Sequence[TaskView]:
        """Returns the tasks and candidates with a session."""
        sessions = [each for task in self.tasks() for each in task.sessions]
        return [each for each in sessions if each.live_attempt and not each.takes_over]

    def change_task(self, name: TaskName, **changes: Any) -> None:
        if name.candidate:
            lanes = self.task(name.whole).lanes
            changed = tuple(replace(each, **changes) if each.name == name else each for each in lanes)
            self.change_task(name.whole, lanes=changed)
            return
        tasks = self.epic(name.parent).tasks
        self.change_epic(
            name.parent,
            tasks=tuple(replace(task, **changes) if task.name == name else task for task in tasks),
        )

    def change_epic(self, name: EpicName, **changes: Any) -> None:
        run = self.runs[name.parent]
        epics = tuple(replace(epic, **changes) if epic.name == name else epic for epic in run.epics)
        self.runs[name.parent] = replace(run, epics=epics)
