"""Decides which candidate of a task is chosen, and when its work is taken over. Part of the policy; pure."""

from collections.abc import Collection, Container, Iterator
from dataclasses import replace

from heddle import pb
from heddle.names import TaskName
from scheduler_svc.policy.actions import (
    Action,
    AskForChoice,
    ChooseCandidate,
    CompareCandidates,
    FailCandidates,
    SkipTask,
    StartTask,
    StopAttempt,
)
from scheduler_svc.policy.snapshot import RunView, TaskView


def with_lanes(tasks: list[TaskView], lanes: list[TaskView]) -> list[TaskView]:
    """Returns the tasks of an epic with their candidates, given in order; these share the budget of their task."""
    of_task: dict[TaskName | None, list[TaskView]] = {}
    for lane in lanes:
        of_task.setdefault(lane.whole, []).append(lane)
    return [
        replace(task, lanes=tuple(mine), spent=task.spent + sum(lane.spent for lane in mine))
        if (mine := of_task.get(task.name))
        else task
        for task in tasks
    ]


def decided(run: RunView, causes: Container[str]) -> Iterator[Action]:
    """Yields what follows once candidates have ended, and stops the others of a chosen one.

    `causes` has the keys of the epics that must not continue.
    """
    for epic in run.epics:
        if epic.name.epic not in causes:
            for task in epic.tasks:
                if task.trying:
                    yield from _after(task)


def taken_over(
    run: RunView, causes: Container[str], workers: Collection[str], lost: Container[str]
) -> Iterator[StartTask]:
    """Yields the attempts that take over the work of chosen candidates: without a slot, a budget or a session.

    `workers` can be asked to do that, `lost` ones never come back with what they had.
    """
    for epic in run.epics:
        if epic.name.epic in causes or epic.busy or epic.merging:
            continue
        task, place = epic.next_task, run.worker_of(epic)
        if task is None or not task.takes_over or task.paced:
            continue
        if place in workers:
            yield StartTask(task.name.attempt(task.attempts + 1))
        elif epic.moves and place in lost and workers:
            # The remote has the work.
            worker = run.worker if run.worker in workers else min(workers)
            yield StartTask(task.name.attempt(task.attempts + 1), None, worker, f"{place} was lost")


def _after(task: TaskView) -> Iterator[Action]:
    open_ones = [lane for lane in task.lanes if lane.live or lane.parked or lane.startable]
    if task.chosen and open_ones:
        yield from _ended(open_ones, f"candidate {task.chosen} was chosen")
    elif task.chosen:
        yield ChooseCandidate(task.name, task.chosen, "")
    elif not open_ones:
        yield from _choice(task, [lane for lane in task.lanes if lane.state == pb.TASK_STATE_PASSED])


def _ended(open_ones: list[TaskView], reason: str) -> Iterator[Action]:
    for lane in open_ones:
        if lane.live_attempt is None:
            yield SkipTask(lane.name, reason)
        elif not lane.stopping:
            yield StopAttempt(lane.live_attempt, reason)


def _choice(task: TaskView, passed: list[TaskView]) -> Iterator[Action]:
    """Yields the choice among the candidates that have passed; all have ended."""
    if not passed:
        yield FailCandidates(task.name)
    elif len(passed) == 1:
        yield ChooseCandidate(task.name, _number(passed[0]), "it is the only one whose checks passed")
    elif task.compares and not task.in_review:
        yield CompareCandidates(task.name, tuple(map(_number, passed)))
    elif scores := [lane.score for lane in passed if lane.score is not None]:
        # Of several with the highest score, the first.
        best = next(lane for lane in passed if lane.score == max(scores))
        others = "one of the highest" if scores.count(max(scores)) > 1 else "the highest"
        yield ChooseCandidate(task.name, _number(best), f"its score is {others}: {max(scores):g}")
    elif task.state != pb.TASK_STATE_WAITING:
        yield AskForChoice(task.name, tuple(map(_number, passed)))


def _number(lane: TaskView) -> int:
    return lane.name.candidate
