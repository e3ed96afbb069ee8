"""Resource names on the command line: in full, or short as RUN/EPIC/TASK/N."""

from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName, RunName, TaskName, WorktreeName


def run_name(text: str) -> str:
    """Returns runs/RUN for runs/RUN or RUN."""
    try:
        return str(RunName.parse(f"runs/{text.removeprefix('runs/')}"))
    except HeddleError:
        raise Failure(f"{text!r} is not a valid run; use RUN, as listed by `heddle ls`", BAD_INPUT) from None


def epic_name(text: str) -> str:
    """Returns the full name of the epic that `text` names."""
    ids = text.removeprefix("runs/").replace("/epics/", "/").split("/")
    try:
        return str(EpicName.parse(str(EpicName(*ids))))
    except (HeddleError, TypeError):
        raise Failure(f"{text!r} is not a valid epic; use RUN/EPIC", BAD_INPUT) from None


def run_or_epic_name(text: str) -> str:
    """Returns the full name of the run or epic that `text` names."""
    return epic_name(text) if "/" in text.removeprefix("runs/") else run_name(text)


def worktree_name(text: str) -> str:
    """Returns the full name of the worktree of the epic that `text` names."""
    return str(WorktreeName(*EpicName.parse(epic_name(text.removesuffix("/worktree")))))


def task_name(text: str) -> TaskName:
    """Returns the task that `text` names; for the name of an attempt, the task of that attempt."""
    try:
        return TaskName.parse(str(TaskName(*_ids(text)[:3])))
    except (HeddleError, TypeError):
        raise Failure(f"{text!r} is not a valid task; use RUN/EPIC/TASK", BAD_INPUT) from None


def part_name(text: str) -> str:
    """Returns the full name of the epic or task that `text` names."""
    return str(task_name(text)) if text.removeprefix("runs/").count("/") > 1 else epic_name(text)


def attempt_number(text: str) -> int | None:
    """Returns the number of the attempt that `text` names; None if it names only the task."""
    ids = _ids(text)
    if len(ids) == 3:
        return None
    try:
        return AttemptName.parse(f"{task_name(text)}/attempts/{ids[3]}").number
    except (HeddleError, IndexError):
        raise Failure(
            f"{text!r} is not a valid attempt; use RUN/EPIC/TASK/N, or RUN/EPIC/TASK for the latest",
            BAD_INPUT,
        ) from None


async def attempt_name(client: HeddleClient, text: str) -> str:
    """Returns the full name of the attempt; the latest one if `text` names only the task."""
    task, number = task_name(text), attempt_number(text)
    if number is not None:
        return str(task.attempt(number))
    attempts = await client.list_attempts(str(task))
    if not attempts:
        raise Failure(f"{text} has no attempts yet", BAD_INPUT)
    return attempts[-1].name


def _ids(text: str) -> list[str]:
    parts = text.removeprefix("runs/").split("/")
    full = parts[1:2] == ["epics"] and parts[3:4] == ["tasks"]
    if not full:
        return parts if len(parts) in {3, 4} else []
    if len(parts) == 5:
        return parts[::2]
    return parts[::2] if len(parts) == 7 and parts[5] == "attempts" else []
