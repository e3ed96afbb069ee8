"""Computes the changes of a run's plan and writes them: the rows, the events and the next revision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.commands.runs.create_run import budget_of, epic_row, estimate_of, task_row
from scheduler_svc.commands.runs.reopen import check_not_cancelling, is_closed, reopen_run, reopen_task
from scheduler_svc.model.home import is_placed
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.plans.draft_words import not_for_drafts
from scheduler_svc.model.plans.plan_defaults import (
    merge_checks,
    resolved_epic,
    resolved_tasks,
    with_checks,
    with_place,
)
from scheduler_svc.model.plans.plan_difference import (
    ORDER,
    Progress,
    copy_fields,
    difference,
    new_order,
    refused,
    title_of,
    unstarted,
)
from scheduler_svc.model.sessions.agent_availability import agents_of
from scheduler_svc.store.db.database import Connection, Row
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.plan_progress import read_progress
from scheduler_svc.store.queries.records import epic_row as read_epic
from scheduler_svc.store.queries.records import run_row, task_rows
from scheduler_svc.store.queries.resources import get_spec
from scheduler_svc.store.rows import allowed_rules, epics, plans, runs, tasks

_ADDED = pb.PLAN_CHANGE_KIND_ADDED
_REMOVED = pb.PLAN_CHANGE_KIND_REMOVED


@dataclass(frozen=True)
class Comparison:
    """A run's plan next to a new one. Both have the granted permissions and the project's checks."""

    name: RunName
    run: Row
    revision: int
    after: pb.Plan
    progress: Progress
    changes: list[pb.PlanChange]

    def check(self) -> None:
        """Raises PLAN_CHANGE_REFUSED if not all changes can be applied."""
        if lines := refused(self.changes):
            listed = "".join(f"\n  {line}" for line in lines)
            raise HeddleError(
                pb.ERROR_REASON_PLAN_CHANGE_REFUSED,
                f"the plan of {self.name} was not changed, because what has started cannot change:{listed}",
                count=len(lines),
            )

    def new_tasks(self) -> list[tuple[pb.PlanEpic, pb.PlanTask]]:
        """Returns the tasks that are added or changed, with all defaults."""
        touched = {(each.epic, each.task) for each in self.changes if each.kind != _REMOVED}
        return [
            (epic, task)
            for epic in self.after.epics
            for task in self.resolved(epic)
            if (epic.key, task.key) in touched
            or ((epic.key, "") in touched and epic.key not in self.progress.epics)
        ]

    def resolved(self, epic: pb.PlanEpic) -> list[pb.PlanTask]:
        """Returns the tasks of an epic of the new plan with all defaults, in the order in which they run."""
        return resolved_tasks(epic, self.after.defaults, self.progress.agent)


def compare(
    connection: Connection,
    name: RunName,
    plan: pb.Plan,
    revision: int = 0,
    skips: RunName | EpicName | None = None,
) -> Comparison:
    """Compares a run's plan with a new one; `skips`: as if the failed tasks of this run or epic had been skipped.

    Raises NOT_FOUND, WRONG_STATE if the run is being cancelled, and PLAN_CHANGED if `revision` is
    neither 0 nor the current one.
    """
    run = run_row(connection, name)
    if run.draft:
        raise not_for_drafts(name, "start its plan, then change the plan of that run")
    check_not_cancelling(connection, name)
    if isinstance(skips, EpicName):
        read_epic(connection, skips)
    newest = plans.read(connection, name)
    if revision and revision != newest.revision:
        raise _changed(connection, name, newest, revision)
    granted = [each.rule for each in allowed_rules.granted(run.granted)]
    file = pb.ProjectFile.FromString(run.project_file) if run.project_file else None
    placed = is_placed(run.project, served=run.served)
    before, after = (
        _effective(with_place(each, file, placed=placed), granted, file) for each in (newest.plan, plan)
    )
    progress = read_progress(connection, name, run.agent, skips)
    changes = difference(before, after, progress)
    return Comparison(name, run, newest.revision, after, progress, changes)


def past_difference(connection: Connection, name: RunName, revision: int) -> pb.PlanDifference:
    """Returns what a revision of a run's plan changed."""
    if revision < 2:
        return pb.PlanDifference()
    before, after = (plans.read(connection, name, each).plan for each in (revision - 1, revision))
    agent = run_row(connection, name).agent
    return pb.PlanDifference(changes=difference(before, after, unstarted(before, agent)))


def apply(
    connection: Connection, found: Comparison, request: pb.ApplyPlanRequest, actor: str, now: int
) -> int:
    """Writes the changes; returns the new revision of the plan, the current one if there are none.

    Raises PLAN_CHANGE_REFUSED.
    """
    found.check()
    if not found.changes:
        return found.revision
    revision = found.revision + 1
    plans.insert(
        connection,
        found.name,
        revision,
        request.plan,
        text=request.plan_text,
        inputs=request.plan_inputs,
        actor=actor,
        now=now,
    )
    _Writer(connection, found, actor, now).write(request.plan, revision)
    return revision


class _Writer:
    """Writes the changes of one comparison."""

    def __init__(self, connection: Connection, found: Comparison, actor: str, now: int) -> None:
        self._connection = connection
        self._found = found
        self._run = found.name
        self._actor = actor
        self._now = now
        self._epics = {epic.key: epic for epic in found.after.epics}
        self._specs: dict[str, dict[str, pb.PlanTask]] = {}
        self._events: list[pb.Event] = []

    def write(self, plan: pb.Plan, revision: int) -> None:
        of_plan = [each.field for change in self._found.changes if not change.epic for each in change.fields]
        self._note(self._run, plan_applied=pb.PlanApplied(revision=revision, fields=of_plan))
        self._write_run(plan, of_plan)
        reordered: dict[str, None] = {}
        for change in self._found.changes:
            if change.task:
                self._write_task(change)
                reordered[change.epic] = None
            elif change.epic:
                self._write_epic(change)
        for place, key in enumerate(self._epics):
            epics.change(self._connection, self._run.epic(key), place=place)
        for key in reordered:
            self._order(key)
        if any(each.field == "budget_usd" for change in self._found.changes for each in change.fields):
            epics.release_budgets(self._connection, self._run)
        append(self._connection, self._events, self._now)
        self._reopen()

    def _tasks(self, epic: str) -> dict[str, pb.PlanTask]:
        """Returns the tasks of an epic with all defaults, by key, in the order in which they run."""
        if epic not in self._specs:
            self._specs[epic] = {task.key: task for task in self._found.resolved(self._epics[epic])}
        return self._specs[epic]

    def _note(self, name: RunName | EpicName | TaskName, **payload: object) -> None:
        self._events.append(event(name, self._actor, **payload))

    def _write_run(self, plan: pb.Plan, fields: Iterable[str]) -> None:
        after = self._found.after
        effective = pb.Plan()
        effective.CopyFrom(plan)
        del effective.defaults.permissions.allow[:]
        effective.defaults.permissions.allow.extend(after.defaults.permissions.allow)
        checks = merge_checks(after, after.defaults).SerializeToString()
        values: dict[str, object] = {
            "plan": effective.SerializeToString(),
            "granted": allowed_rules.not_in(self._found.run.granted, plan),
            "title": after.name,
            "squash": after.merge_style == pb.MERGE_STYLE_SQUASH,
        }
        if checks != self._found.run.merge_checks:
            values |= {"merge_checks": checks, "tested_tree": ""}
        if "budget_usd" in fields:
            values["budget_micros"] = budget_of(after)
        runs.change(self._connection, self._run, **values)

    def _write_epic(self, change: pb.PlanChange) -> None:
        name = self._run.epic(change.epic)
        if change.kind == _REMOVED:
            self._remove_epic(name)
            return
        spec = resolved_epic(self._epics[change.epic], self._found.after)
        if change.kind == _ADDED:
            self._add_epic(name, spec)
            return
        fields = [each.field for each in change.fields]
        self._note(name, epic_changed=pb.EpicChanged(fields=fields))
        row = read_epic(self._connection, name)
        now = pb.PlanEpic.FromString(row.spec)
        copy_fields(spec, now, _columns(fields))
        values: dict[str, object] = {
            "priority": now.priority,
            "on_failure": now.on_failure,
            "spec": now.SerializeToString(),
        }
        if "budget_usd" in fields:
            values["budget_micros"] = budget_of(now)
        if "sync" in fields and row.sync_state == pb.SYNC_STATE_OFF:
            values["sync_state"] = pb.SYNC_STATE_UNSPECIFIED
        late = not {"depends_on", "on_failure"}.isdisjoint(fields)
        write = epics.change_unstarted if late else epics.try_change
        if not write(self._connection, name, **values):
            raise _overtaken(change)
        if "depends_on" in fields:
            self._block(name, blocked=bool(now.depends_on))

    def _block(self, name: EpicName, *, blocked: bool) -> None:
        move = transitions.EPIC_BLOCK if blocked else transitions.EPIC_READY
        if epics.try_to(self._connection, name, move) and not blocked:
            self._note(name, epic_ready=pb.EpicReady())

    def _add_epic(self, name: EpicName, spec: pb.PlanEpic) -> None:
        found = self._tasks(name.epic).values()
        epics.insert(self._connection, [epic_row(name, 0, spec)])
        rows = [task_row(name, position, task) for position, task in enumerate(found, 1)]
        tasks.insert(self._connection, rows)
        self._note(name, epic_added=pb.EpicAdded(title=spec.title, task_count=len(found)))
        # Events about tasks let the watchers of the run read them.
        for position, task in enumerate(found, 1):
            self._note(name.task(task.key), task_added=pb.TaskAdded(title=task.title, position=position))
        if not spec.depends_on:
            self._note(name, epic_ready=pb.EpicReady())

    def _remove_epic(self, name: EpicName) -> None:
        title = pb.PlanEpic.FromString(read_epic(self._connection, name).spec).title
        for row in task_rows(self._connection, name):
            self._remove_task(name.task(row.task), pb.PlanTask.FromString(row.spec).title)
        if not epics.delete_unstarted(self._connection, name):
            raise _overtaken(pb.PlanChange(epic=name.epic))
        self._note(name, epic_removed=pb.EpicRemoved(title=title))

    def _write_task(self, change: pb.PlanChange) -> None:
        name = self._run.epic(change.epic).task(change.task)
        if change.kind == _REMOVED:
            self._remove_task(name, get_spec(self._connection, name).title)
            return
        spec = self._tasks(change.epic)[change.task]
        if change.kind == _ADDED:
            tasks.insert(self._connection, [task_row(name.parent, 0, spec)])
            self._note(name, task_added=pb.TaskAdded(title=spec.title))
            return
        fields = [each.field for each in change.fields]
        self._note(name, task_changed=pb.TaskChanged(fields=fields))
        now = get_spec(self._connection, name)
        copy_fields(spec, now, _columns(fields))
        values: dict[str, object] = {"spec": now.SerializeToString(), "estimate": estimate_of(now)}
        values |= {
            "needs": " ".join(now.needs),
            "candidates": len(now.candidates),
            "compares": now.HasField("choose"),
            "agents": agents_of(now),
        }
        if "budget_usd" in fields:
            values["budget_micros"] = budget_of(now)
        if fields != [ORDER] and not tasks.change_unstarted(self._connection, name, **values):
            raise _overtaken(change)

    def _remove_task(self, name: TaskName, title: str) -> None:
        if not tasks.delete_unstarted(self._connection, name):
            raise _overtaken(pb.PlanChange(epic=name.epic, task=name.task))
        self._note(name, task_removed=pb.TaskRemoved(title=title))

    def _order(self, key: str) -> None:
        """Numbers the tasks of an epic again."""
        planned = list(self._tasks(key))
        name = self._run.epic(key)
        rows = {row.task: row.position for row in task_rows(self._connection, name)}
        order = [task for task in new_order(self._found.progress.epics[key].tasks, planned) if task in rows]
        places = {task: place for place, task in enumerate(order, 1)}
        for task, place in places.items():
            if rows[task] != place:
                tasks.change(self._connection, name.task(task), position=place)
        for each in self._events:
            if each.epic == key and each.HasField("task_added"):
                each.task_added.position = places[each.task]

    def _reopen(self) -> None:
        """Makes ended epics with added tasks active again, and an ended run with added tasks or epics."""
        added = [each for each in self._found.changes if each.kind == _ADDED]
        for change in added:
            name = self._run.epic(change.epic)
            if change.task and is_closed(self._connection, name):
                reopen_task(self._connection, name.task(change.task), self._actor, self._now)
        if added:
            reopen_run(self._connection, self._run, self._actor, self._now)


def _columns(fields: Iterable[str]) -> list[str]:
    """Returns the fields of the message for those of a plan file."""
    return ["budget_usd_micros" if each == "budget_usd" else each for each in fields]


def _effective(plan: pb.Plan, granted: Sequence[str], file: pb.ProjectFile | None) -> pb.Plan:
    """Returns the plan with granted permissions, and the project's checks if it has none."""
    found = pb.Plan()
    found.CopyFrom(plan)
    found.defaults.CopyFrom(with_checks(plan.defaults, file))
    allow = found.defaults.permissions.allow
    allow.extend(rule for rule in granted if rule not in allow)
    return found


def _changed(connection: Connection, name: RunName, newest: pb.GetPlanResponse, revision: int) -> HeddleError:
    """Returns the error for a change that was made to an older plan; raises NOT_FOUND if there is none."""
    seen = plans.read(connection, name, revision).plan
    agent = run_row(connection, name).agent
    changes = difference(seen, newest.plan, unstarted(seen, agent))
    verbs = {_ADDED: "added", _REMOVED: "removed", pb.PLAN_CHANGE_KIND_MOVED: "moved"}
    listed = ", ".join(f"{title_of(each)} {verbs.get(each.kind, 'changed')}" for each in changes[:10])
    more = f" and {len(changes) - 10} more" if len(changes) > 10 else ""
    return HeddleError(
        pb.ERROR_REASON_PLAN_CHANGED,
        f"the plan of {name} is at revision {newest.revision}, not {revision}: since then"
        f" {newest.actor or 'someone'} changed it ({listed or 'nothing that counts'}{more}); read the plan again",
        revision=newest.revision,
    )


def _overtaken(change: pb.PlanChange) -> HeddleError:
    return HeddleError(
        pb.ERROR_REASON_PLAN_CHANGE_REFUSED,
        f"{title_of(change)} has just started; look at the difference again",
        count=1,
    )
