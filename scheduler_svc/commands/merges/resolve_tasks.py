"""Adds tasks in which an agent resolves the conflict that prevents the merge of an epic."""

from collections.abc import Iterator
from typing import Final

from heddle import pb
from heddle.identity.principals import person
from heddle.names import EpicName, TaskName
from heddle.plan.rules import SCRIPTED
from scheduler_svc.commands.runs.create_run import task_row
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.plans.plan_defaults import replace_agent
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, run_row, task_rows
from scheduler_svc.store.rows import epics, tasks

_KEY: Final = "resolve"

# Limits of a prompt: the number of files that it lists, and the output that it quotes of a failed check.
_MOST_FILES: Final = 100
_OUTPUT_CHARACTERS: Final = 4 << 10


def add(connection: Connection, epic: EpicName, agent: str, actor: str, now: int) -> TaskName:
    """Adds the task at the end of the epic and reopens the epic; empty `agent`: that of its last task."""
    return _add(connection, epic, agent, actor, now=now)


def add_of_person(connection: Connection, epic: EpicName, commit: str, actor: str, now: int) -> TaskName:
    """Adds a task that starts with the commit in which a person has resolved the conflict, and needs no agent."""
    return _add(connection, epic, SCRIPTED, actor, now=now, commit=commit)


def _add(
    connection: Connection, epic: EpicName, agent: str, actor: str, *, now: int, commit: str = ""
) -> TaskName:
    rows = task_rows(connection, epic)
    last = pb.PlanTask.FromString([each for each in rows if not each.resolves][-1].spec)
    conflict = pb.MergeConflicted.FromString(epic_row(connection, epic).conflict or b"")
    merge_checks = run_row(connection, epic.parent).merge_checks
    checks = pb.MergeChecks.FromString(merge_checks or b"").checks or last.checks
    taken = {each.task.lower() for each in rows}
    numbered = (f"{_KEY}-{number}" for number in range(1, len(rows) + 2))
    spec = resolution(last, conflict, next(key for key in numbered if key not in taken), agent)
    if commit:
        _by_person(spec, person(actor))
    del spec.checks[:]
    spec.checks.extend(checks)
    position = rows[-1].position + 1
    tasks.insert(connection, [task_row(epic, position, spec) | {"resolves": True, "resolution": commit}])
    epics.move(connection, epic, transitions.EPIC_RESOLVE)
    name = epic.task(spec.key)
    added = pb.TaskAdded(title=spec.title, position=position)
    append(connection, [event(name, actor, task_added=added)], now)
    return name


def _by_person(spec: pb.PlanTask, who: str) -> None:
    """Makes a resolving task one whose files are there when it starts: only its checks are left to run."""
    spec.title += f" as decided by {who}"
    spec.prompt = f"{who} has resolved the conflict. The checks run on the result."
    spec.script.add(say=pb.ScriptStep.Say(text=spec.prompt))
    # The same files would fail again.
    spec.retries = 0


def resolution(last: pb.PlanTask, conflict: pb.MergeConflicted, key: str, agent: str) -> pb.PlanTask:
    """Returns the task: a copy of the epic's last task with its own key, title and prompt."""
    spec = pb.PlanTask()
    spec.CopyFrom(last)
    for field in ("script", "estimate", "budget_usd_micros", "needs", "reviews"):
        spec.ClearField(field)
    for choice in ("candidates", "score", "choose"):
        spec.ClearField(choice)
    if agent:
        replace_agent(spec, agent)
    # The correct resolution may leave the epic unchanged.
    spec.expect = pb.EXPECT_ANY
    spec.key = key
    spec.title = f"Resolve the merge with {conflict.target_branch}"
    spec.prompt = "\n".join(prompt(conflict))
    return spec


def prompt(conflict: pb.MergeConflicted) -> Iterator[str]:
    """Yields the lines of the agent's prompt."""
    other = conflict.target_branch
    yield f"The work of this branch is done, but it does not fit to what was merged into {other} meanwhile."
    yield "This worktree holds the merge of both, not committed. Make it right, so that what either side wanted holds."
    yield f"`git log HEAD..{other}` and `git diff HEAD...{other}` show what the other side did,"
    yield f"`git diff {other}...HEAD` what this branch did."
    if conflict.files:
        yield from _files(conflict)
    for check in conflict.failed_checks:
        yield ""
        yield f"The check `{check.command}` fails on it. The end of what it printed:"
        yield from (f"    {line}" for line in check.output[-_OUTPUT_CHARACTERS:].splitlines())
    yield ""
    yield "Leave the result as files in this worktree. Do not merge, rebase or switch branches: it is committed for you,"
    yield "with both sides as parents, once the checks pass."


def _files(conflict: pb.MergeConflicted) -> Iterator[str]:
    """Yields the conflicts: first files with conflict markers, then files without, which need a decision."""
    # For a file without conflict regions, git describes what both sides did.
    notes = {hunk.file: hunk.text for hunk in conflict.hunks if not hunk.line}
    marked = [file for file in conflict.files if file not in notes]
    yield ""
    if marked:
        yield "In these files both sides stand between <<<<<<<, ======= and >>>>>>>; leave no such line:"
        yield from (f"- {file}" for file in marked[:_MOST_FILES])
        if len(marked) > _MOST_FILES:
            yield f"- and {len(marked) - _MOST_FILES} more; `git grep -n '^<<<<<<<'` lists them"
    if notes:
        yield "These have no such lines. Decide each of them, or the task fails:"
        for file, text in notes.items():
            yield f"- {file}"
            yield from (f"    {line}" for line in _said(text, conflict).splitlines())
    yield "A conflict without such lines, as of a file that one side removed and the other changed, is decided once you"
    yield "change, move or remove a file of it. To keep a file as it is here, write its path as a line into .heddle/keep."
    yield "No file NAME~COMMIT may be left. .heddle/conflicts.txt, where it is there, lists all that has no such lines."


def _said(text: str, conflict: pb.MergeConflicted) -> str:
    """Returns git's message with commit ids replaced by branch names."""
    for commit, name in (
        (conflict.source_commit, "this branch"),
        (conflict.target_commit, conflict.target_branch),
    ):
        text = text.replace(commit, name) if commit else text
    return text
