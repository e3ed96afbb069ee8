"""Simulates a plan in memory with the real policy, to find its duration if all estimates are right.

    python -m scheduler_svc.policy.simulation MAX_PARALLEL … < PLAN

PLAN is a serialised Plan in which either all tasks have an estimate or none has; without estimates,
lengths count tasks. Prints one JSON object per line for each MAX_PARALLEL, in their order: max_parallel,
makespan, and busy, the share of the available session time that was used.
"""

import heapq
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from heddle.plan.graphs.analysis import planned_order, priority, task_lengths
from heddle.plan.rules import resolved_merge
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import AskForChoice, AwaitMerge, MergeEpic, MergeRun, StartTask
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot, TaskView, WorkerView

_RUN: Final = RunName("simulated")
_WORKER: Final = "simulated"


class Played(NamedTuple):
    """The result of a simulation with a given number of parallel sessions."""

    max_parallel: int
    makespan: float
    busy: float


def play(plan: pb.Plan, max_parallel: int) -> Played:
    """Simulates one run in which every task and merge succeeds on the first attempt, manual merges included.

    All candidates of a task succeed, and one of them is chosen at once.
    """
    lengths = task_lengths(plan)
    board = Board(Snapshot((_run(plan, lengths, max_parallel),), (WorkerView(_WORKER, max_parallel),)))
    running: list[tuple[float, TaskName]] = []
    now = work = 0.0
    while True:
        for task in _started(board):
            takes_over = board.task(task).takes_over
            length = 0.0 if takes_over else lengths[task.epic][int(task.whole.task)]
            heapq.heappush(running, (now + length, task))
            work += length
        if not running:
            break
        now, task = heapq.heappop(running)
        board.end_attempt(task, pb.TASK_STATE_PASSED if task.candidate else pb.TASK_STATE_ACCEPTED)
    return Played(max_parallel, now, work / (now * max_parallel) if now else 0.0)


def _started(board: Board) -> Iterator[TaskName]:
    """Decides and acts until only running sessions remain; yields the sessions that it started."""
    changed = True
    while changed:
        changed = False
        for action in decision.decide(board.snapshot):
            board.act(action)
            match action:
                case StartTask(attempt):
                    yield attempt.parent
                    continue
                case MergeEpic(epic) | AwaitMerge(epic):
                    board.end_merge(epic, merged=True)
                case MergeRun(run):
                    board.end_run_merge(run, merged=True)
                case AskForChoice(task, candidates):
                    board.choose(task, candidates[0])
            changed = True


def _run(plan: pb.Plan, lengths: Mapping[str, Sequence[float]], max_parallel: int) -> RunView:
    """Returns the run of a plan; the key of a task is its index, which avoids look-ups."""
    epics = []
    names = {
        f"{epic.key}/{task.key}": TaskName(_RUN.run, epic.key, str(place))
        for epic in plan.epics
        for place, task in enumerate(planned_order(epic))
    }
    for index, epic in enumerate(plan.epics):
        name = EpicName(_RUN.run, epic.key)
        tasks = []
        for place, task in enumerate(planned_order(epic)):
            view = TaskView(
                TaskName(*name, str(place)), pb.TASK_STATE_PENDING, 0, estimate=lengths[epic.key][place]
            )
            needs = tuple(names[need] for need in task.needs)
            tasks.append(replace(view, needs=needs, candidates=len(task.candidates)))
        epics.append(
            EpicView(
                name=name,
                state=pb.EPIC_STATE_BLOCKED if epic.depends_on else pb.EPIC_STATE_READY,
                index=index,
                priority=priority(epic),
                depends_on=tuple(epic.depends_on),
                on_failure=pb.ON_FAILURE_CONTINUE,
                tasks=tuple(tasks),
                merge=resolved_merge(epic, plan.defaults),
            )
        )
    return RunView(_RUN, pb.RUN_STATE_RUNNING, _WORKER, max_parallel, tuple(epics), plan.merge_into)


def main() -> int:
    """Prints one line of JSON per argument; returns the exit code."""
    plan = pb.Plan.FromString(sys.stdin.buffer.read())
    for argument in sys.argv[1:]:
        sys.stdout.write(json.dumps(play(plan, int(argument))._asdict()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
