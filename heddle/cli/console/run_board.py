"""The live state of a run, collected from its watch, and how a terminal shows it."""

from collections import Counter
from collections.abc import Iterator

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table

from heddle import operator_queue, pb
from heddle.cli.console import words
from heddle.cli.console.safe_output import SafeText

STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "merging": "cyan",
    "waiting": "yellow",
    "awaiting merge": "yellow",
    "paused": "yellow",
    "failed": "red",
    "conflicted": "red",
    "cancelled": "red",
    "blocked": "dim",
    "ready": "dim",
    "pending": "dim",
    "skipped": "dim",
    "passed": "cyan",
    "dropped": "dim",
}


class RunBoard:
    """The latest state of a run, its epics and tasks, and the current activity of their sessions."""

    def __init__(self) -> None:
        self.run = pb.Run()
        self._epics: dict[str, pb.Epic] = {}
        self._tasks: dict[str, pb.Task] = {}
        self._summaries: dict[str, pb.SessionSummary] = {}

    def take(self, response: pb.WatchRunResponse) -> None:
        """Updates the state with `response`."""
        if response.HasField("run"):
            self.run = response.run
        self._epics.update((epic.name, epic) for epic in response.epics)
        self._tasks.update((task.name, task) for task in response.tasks)
        self._summaries.update((each.attempt, each) for each in response.summaries)

    @property
    def epics(self) -> list[pb.Epic]:
        """In the order of the plan."""
        return sorted(self._epics.values(), key=lambda epic: epic.index)

    def tasks(self, epic: pb.Epic) -> list[pb.Task]:
        """Returns the tasks of `epic` in planned order."""
        mine = [task for task in self._tasks.values() if task.name.startswith(f"{epic.name}/tasks/")]
        return sorted(mine, key=lambda task: (task.position, task.candidate))

    def doing(self, epic: pb.Epic) -> str:
        """Returns `2/3 Write the model · Edit src/model.py` for a running epic, else its state."""
        tasks = self.tasks(epic)
        for task in tasks:
            if task.state in {pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING}:
                summary = self._summaries.get(task.latest_attempt.name, task.latest_attempt.summary)
                place = f"{task.position}/{epic.tasks.total} {task.title or task.key}"
                if task.candidates and not task.reason:
                    mine = [each for each in tasks if each.candidate and each.position == task.position]
                    return f"{place} · {_candidates(mine)}"
                # A running task has a reason only while it waits for its environment.
                return " · ".join(filter(None, (place, words.plain(task.reason or _activity(summary)))))
        return " · ".join(filter(None, (words.state(epic), epic.reason or words.plain(epic.waits_for))))

    def __rich__(self) -> Group:
        waits = [SafeText(words.waits(words.plain(self.run.waits_for)))] if self.run.waits_for else []
        return Group(self._bars(), *waits)

    def _bars(self) -> Table:
        table = Table.grid(padding=(0, 2), expand=False)
        for epic in self.epics:
            state = words.state(epic)
            bar = ProgressBar(
                total=max(1, epic.tasks.total),
                completed=epic.tasks.accepted,
                width=20,
                complete_style="green",
                finished_style="green",
            )
            style = STYLES.get(state, "")
            done = f"{epic.tasks.accepted}/{epic.tasks.total}"
            # SafeText, not markup: titles come from the plan and are not trusted.
            table.add_row(
                SafeText(epic.title or epic.key, style="bold"),
                bar,
                done,
                SafeText(self.doing(epic), style=style, no_wrap=True, overflow="ellipsis"),
                words.cost(epic.usage),
            )
            if epic.HasField("last_move") and not epic.HasField("end_time"):
                moved = SafeText(words.plain(words.moved(epic.last_move)), style="dim", overflow="fold")
                table.add_row("", "", "", moved, "")
        return table


def _candidates(found: list[pb.Task]) -> str:
    states = Counter(map(words.state, found))
    each = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{words.count(len(found), 'candidate')}: {each}"


def _activity(summary: pb.SessionSummary) -> str:
    if summary.HasField("waiting_for"):
        return f"needs your answer: {summary.waiting_for.question}"
    if summary.HasField("current_tool"):
        return f"{summary.current_tool.name} {summary.current_tool.target}".rstrip()
    if summary.state == pb.ATTEMPT_STATE_CHECKING:
        return "checking"
    return summary.last_lines[-1] if summary.last_lines else ""


def _draft_steps(run: pb.Run, short: str) -> Iterator[str]:
    """Yields what to do with the plan of a draft, or with its last text."""
    if run.state == pb.RUN_STATE_SUCCEEDED and run.revises:
        yield f"`heddle apply --draft {short}` shows its change of {run.revises.removeprefix('runs/')} and applies it"
    elif run.state == pb.RUN_STATE_SUCCEEDED:
        yield f"`heddle show {short} --plan` prints its plan, which `heddle run FILE` starts"
    else:
        yield f"`heddle show {short} --plan` prints its last text, `heddle retry {short}/draft/plan` lets it try again"


def result_lines(run: pb.Run, epics: list[pb.Epic]) -> Iterator[str]:
    """Yields how a run ended, and the next step for whatever did not succeed."""
    tasks = run.tasks
    parts = [f"{tasks.accepted}/{words.count(tasks.total, 'task')} accepted"]
    parts += [
        f"{number} {what}"
        for number, what in (
            (tasks.unchanged, "changed nothing"),
            (tasks.failed, "failed"),
            (tasks.skipped, "skipped"),
        )
        if number
    ]
    parts += filter(None, [words.cost(run.usage)])
    reason = f": {run.reason}" if run.reason else ""
    yield f"{run.name.removeprefix('runs/')} {words.state(run)}{reason} ({', '.join(parts)})"
    for epic in epics:
        if epic.conflict_files:
            yield f"  {epic.key}: conflicts in {', '.join(epic.conflict_files)}; its work is on {epic.branch}"
        elif epic.state in {pb.EPIC_STATE_FAILED, pb.EPIC_STATE_SKIPPED, pb.EPIC_STATE_CANCELLED}:
            yield f"  {epic.key}: {words.state(epic)}{f': {epic.reason}' if epic.reason else ''}"
    short = run.name.removeprefix("runs/")
    if run.draft:
        yield from _draft_steps(run, short)
        return
    if run.state == pb.RUN_STATE_FAILED and tasks.failed:
        yield (
            f"`heddle retry {short}/EPIC/TASK` tries a failed task again, `heddle plan rest {short}` lets an agent plan"
            " the rest again"
        )
    if run.unpushed:
        yield f"  {operator_queue.lacks(run)}"
    if tasks.accepted and any(each.branch == run.branch for each in run.unpushed):
        yield (
            f"The result is on branch {run.branch} of the worker's clone; {run.project} does not have it."
            f" Retry with `heddle push {short}`"
        )
    elif tasks.accepted:
        yield f"The result is on branch {run.branch} of {run.project}"
