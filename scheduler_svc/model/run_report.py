"""What an agent that changes the plan of a run is told about how far the run is. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from heddle import pb
from heddle.names import TaskName
from scheduler_svc.model.plans.plan_difference import Progress
from scheduler_svc.model.prompts.retry_prompt import evidence

# Bytes for the failures of the whole run, and at most for one of them.
_MOST_EVIDENCE: Final = 24 << 10
_MOST_OF_ONE: Final = 6 << 10
_MOST_REASON: Final = 1200

_WORDS: Final = {
    pb.TASK_STATE_PENDING: "has not started",
    pb.TASK_STATE_RUNNING: "is running",
    pb.TASK_STATE_WAITING: "waits for an answer",
    pb.TASK_STATE_ACCEPTED: "is accepted",
    pb.TASK_STATE_FAILED: "has failed",
    pb.TASK_STATE_SKIPPED: "was skipped",
}


def report(
    epics: Sequence[pb.Epic], tasks: Iterable[pb.Task], failed: Mapping[str, pb.Attempt], progress: Progress
) -> str:
    """Returns the state of each epic and task, whether it can change, and why tasks have failed.

    `failed` has the last failed attempt of tasks by the task's name. `progress` says what of the run cannot change.
    """
    of_epic: dict[str, list[pb.Task]] = {}
    for task in tasks:
        of_epic.setdefault(TaskName.parse(task.name).epic, []).append(task)
    room = min(_MOST_OF_ONE, _MOST_EVIDENCE // max(len(failed), 1))
    lines: list[str] = []
    for epic in epics:
        lines += _epic(epic, progress)
        for task in of_epic.get(epic.key, []):
            lines += _task(task, epic.key, failed.get(task.name), progress, room)
    return "\n".join(lines)


def _epic(epic: pb.Epic, progress: Progress) -> Iterator[str]:
    stand = progress.epics[epic.key]
    state = pb.EpicState.Name(epic.state).removeprefix("EPIC_STATE_").lower().replace("_", " ")
    reason = f" ({_line(epic.reason)})" if epic.reason else ""
    started = "; it has started" if stand.started else "; it has not started"
    yield f"- epic `{epic.key}`: {state}{reason}{started}"
    if epic.merge_commit:
        yield f"  Its accepted work is merged, as commit {epic.merge_commit[:12]}."
    elif epic.head_commit:
        yield f"  Its accepted work is not merged; it is at commit {epic.head_commit[:12]} (`git show` and `git diff` can read it)."
    if stand.closed:
        yield f"  No task can be added to it: {stand.closed}."


def _task(
    task: pb.Task, epic: str, failed: pb.Attempt | None, progress: Progress, room: int
) -> Iterator[str]:
    key = TaskName.parse(task.name).task
    locked = progress.epics[epic].tasks.get(key, "")
    reason = f": {_line(task.reason)}" if task.reason and task.state != pb.TASK_STATE_PENDING else ""
    fixed = "cannot change" if locked else "can change"
    commit = f" (commit {task.commit[:12]})" if task.commit else ""
    yield f"  - task `{epic}/{key}` {_WORDS.get(task.state, 'is in an unknown state')}{commit}{reason}. It {fixed}."
    if failed is not None and task.state != pb.TASK_STATE_ACCEPTED:
        yield from (f"    {line}" for line in _failure(failed, room).splitlines())


def _failure(failed: pb.Attempt, room: int) -> str:
    number = failed.name.rpartition("/")[2]
    kept = f" Its work is kept: `git diff HEAD...{failed.kept_ref}` shows it." if failed.kept_ref else ""
    head = f"Attempt {number} failed: {_line(failed.reason)}.{kept}\n"
    return head + evidence(failed, room - len(head.encode()))


def _line(text: str) -> str:
    return " ".join(text.encode()[:_MOST_REASON].decode(errors="ignore").split())
