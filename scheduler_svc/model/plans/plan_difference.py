"""What differs between two plans of a run, and which of it cannot be changed any more. Pure.

Parts that have not started are compared by their effective values, so that a changed default counts for each task
that it affects. What has started keeps the values with which it started: it is compared as it was written.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from heddle import pb
from heddle.plan.graphs.analysis import planned_order
from scheduler_svc.model.plans.plan_defaults import resolved_epic, resolved_tasks

# The name of the field for the place of an epic or task among others.
ORDER: Final = "order"

_ADDED: Final = pb.PLAN_CHANGE_KIND_ADDED
_CHANGED: Final = pb.PLAN_CHANGE_KIND_CHANGED
_MOVED: Final = pb.PLAN_CHANGE_KIND_MOVED
_REMOVED: Final = pb.PLAN_CHANGE_KIND_REMOVED

# Fields of an epic that take effect when its first task starts, and when its merge begins.
_AT_START: Final = frozenset({"depends_on", "on_failure"})
_AT_MERGE: Final = frozenset({"merge"})


@dataclass(frozen=True)
class EpicProgress:
    """How far an epic is. Each text completes "it cannot be changed, because …"; empty: it can be."""

    started: str = ""
    merged: str = ""
    # Why no task can be added to it now.
    closed: str = ""
    # Its tasks in the order in which they run, also those that its plan does not have, each with the
    # reason why it cannot be changed.
    tasks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a run is; by epic in plan order."""

    epics: Mapping[str, EpicProgress]
    # The agent that replaces the default agent of its plans. Empty: none.
    agent: str = ""


def unstarted(plan: pb.Plan, agent: str = "") -> Progress:
    """Returns the progress of a run of which nothing has started."""
    keys = {epic.key: [task.key for task in planned_order(epic)] for epic in plan.epics}
    return Progress({key: EpicProgress(tasks=dict.fromkeys(each, "")) for key, each in keys.items()}, agent)


def difference(before: pb.Plan, after: pb.Plan, progress: Progress) -> list[pb.PlanChange]:
    """Returns the changes from a run's plan to another valid plan, with the refusal of those that are too late."""
    old = {epic.key: epic for epic in before.epics}
    new = {epic.key: epic for epic in after.epics}
    common = [key for key in new if key in old]
    places = {key: place for place, key in enumerate(old)}
    moved = set(common) - _longest_rising(common, places)
    changes = list(_plan(before, after, progress))
    for place, (key, epic) in enumerate(new.items()):
        if key in old:
            order = (places[key], place) if key in moved else None
            changes += _epic(old[key], epic, before, after, progress=progress, order=order)
        else:
            refusal = "another part of the run has this key" if key in progress.epics else ""
            changes.append(pb.PlanChange(kind=_ADDED, epic=key, refusal=refusal))
    changes += (_removed_epic(key, progress.epics[key]) for key in old if key not in new)
    return changes


def new_order(before: Iterable[str], planned: Sequence[str]) -> list[str]:
    """Returns an epic's tasks in their new order: as `planned`, with tasks that no plan has after their predecessors.

    `before` has the current order, which can contain removed tasks too.
    """
    known = set(planned)
    followers: dict[str, list[str]] = {}
    last = ""
    for key in before:
        if key in known:
            last = key
        else:
            followers.setdefault(last, []).append(key)
    return list(chain(followers.get("", []), *([key, *followers.get(key, [])] for key in planned)))


def changed_fields(before: Any, after: Any, *, without: Iterable[str] = ()) -> list[str]:
    """Returns the names of the fields that differ between two messages of a kind, in the order of the contract."""
    left_out = set(without)
    return [
        each.name
        for each in before.DESCRIPTOR.fields
        if each.name not in left_out and _raw(before, each) != _raw(after, each)
    ]


def copy_fields(source: Any, target: Any, names: Iterable[str]) -> None:
    """Makes the fields of `target` equal to those of `source`."""
    part = type(source)()
    part.CopyFrom(source)
    wanted = set(names)
    for each in part.DESCRIPTOR.fields:
        if each.name in wanted:
            target.ClearField(each.name)
        else:
            part.ClearField(each.name)
    target.MergeFrom(part)


def refused(changes: Iterable[pb.PlanChange]) -> list[str]:
    """Returns a line for each change that cannot be applied."""
    return [f"{title_of(each)}: {each.refusal}" for each in changes if each.refusal]


def title_of(change: pb.PlanChange) -> str:
    """Returns what the change is about: "the plan", "epic api" or "task api/list"."""
    if change.task:
        return f"task {change.epic}/{change.task}"
    return f"epic {change.epic}" if change.epic else "the plan"


def _raw(message: Any, each: Any) -> object:
    """Returns a value that is equal for equal fields; an absent field differs from one with the default value."""
    if each.has_presence and not message.HasField(each.name):
        return None
    value = getattr(message, each.name)
    if each.message_type and each.message_type.GetOptions().map_entry:
        return dict(value)
    return list(value) if each.is_repeated else value


def _fields(before: Any, after: Any, names: Iterable[str], prefix: str = "") -> list[pb.PlanFieldChange]:
    from heddle.plan.yaml import writing  # noqa: PLC0415 (imports PyYAML, and few plans change)

    old, new = writing.plain_of(before), writing.plain_of(after)
    found = []
    for name in names:
        key = name.removesuffix("_micros")
        change = pb.PlanFieldChange(field=prefix + key)
        if key in old:
            change.before = writing.readable(old[key])
        if key in new:
            change.after = writing.readable(new[key])
        found.append(change)
    return found


def _plan(before: pb.Plan, after: pb.Plan, progress: Progress) -> Iterator[pb.PlanChange]:
    names = changed_fields(before, after, without=("epics", "defaults"))
    fields = _fields(before, after, names)
    of_defaults = changed_fields(before.defaults, after.defaults)
    fields += _fields(before.defaults, after.defaults, of_defaults, "defaults.")
    if not fields:
        return
    refusal = ""
    merged = next((key for key, epic in progress.epics.items() if epic.merged), None)
    if "merge_into" in names:
        refusal = "the branch that the run moves is chosen when the run is created (merge_into)"
    elif "merge_style" in names and merged:
        refusal = f"epic {merged} is already merged in the other style (merge_style)"
    yield pb.PlanChange(kind=_CHANGED, fields=fields, refusal=refusal)


def _epic(
    before: pb.PlanEpic,
    after: pb.PlanEpic,
    old_plan: pb.Plan,
    new_plan: pb.Plan,
    *,
    progress: Progress,
    order: tuple[int, int] | None,
) -> Iterator[pb.PlanChange]:
    stand = progress.epics[before.key]
    old, new = resolved_epic(before, old_plan), resolved_epic(after, new_plan)
    written = set(changed_fields(before, after))
    locked = (_AT_START if stand.started else frozenset()) | (_AT_MERGE if stand.merged else frozenset())
    names = [name for name in changed_fields(old, new) if name not in locked or name in written]
    fields = _fields(old, new, names)
    if order:
        fields.append(pb.PlanFieldChange(field=ORDER, before=str(order[0] + 1), after=str(order[1] + 1)))
    if fields:
        late = [name for name in names if name in locked]
        why = stand.started if _AT_START.intersection(late) else stand.merged
        yield pb.PlanChange(
            kind=_CHANGED if names else _MOVED,
            epic=before.key,
            fields=fields,
            refusal=f"{why} ({', '.join(late)})" if late else "",
        )
    yield from _tasks(
        _Tasks(before, resolved_tasks(before, old_plan.defaults, progress.agent)),
        _Tasks(after, resolved_tasks(after, new_plan.defaults, progress.agent)),
        stand,
    )


class _Tasks:
    """The tasks of an epic by key, as written and with their effective values."""

    def __init__(self, epic: pb.PlanEpic, resolved: Iterable[pb.PlanTask]) -> None:
        self.epic = epic.key
        self.written = {task.key: task for task in epic.tasks}
        # In the order in which they run.
        self.resolved = {task.key: task for task in resolved}


def _tasks(before: _Tasks, after: _Tasks, stand: EpicProgress) -> Iterator[pb.PlanChange]:
    key, old, new = before.epic, before.resolved, after.resolved
    order = list(new)
    current = {task: place for place, task in enumerate(stand.tasks)}
    common = [task for task in order if task in old]
    moved = set(common) - _longest_rising(common, current)
    too_early = dict(_too_early(order, old.keys(), stand))
    for place, task in enumerate(order):
        if task not in old:
            refusal = too_early.get(task) or stand.closed
            if task in stand.tasks:
                refusal = "another task of the run has this key"
            yield pb.PlanChange(kind=_ADDED, epic=key, task=task, refusal=refusal)
            continue
        locked = stand.tasks.get(task, "")
        then, now = (each.written[task] if locked else each.resolved[task] for each in (before, after))
        names = changed_fields(then, now)
        fields = _fields(then, now, names)
        if task in moved or task in too_early:
            fields.append(
                pb.PlanFieldChange(field=ORDER, before=str(current[task] + 1), after=str(place + 1))
            )
        if fields:
            refusal = locked if names and locked else too_early.get(task, "")
            kind = _CHANGED if names else _MOVED
            yield pb.PlanChange(kind=kind, epic=key, task=task, fields=fields, refusal=refusal)
    for task in old:
        if task not in new:
            yield pb.PlanChange(kind=_REMOVED, epic=key, task=task, refusal=stand.tasks.get(task, ""))


def _too_early(order: Sequence[str], old: Iterable[str], stand: EpicProgress) -> Iterator[tuple[str, str]]:
    """Yields the tasks that would come before one that has started although they do not now, each with the reason."""
    current = {task: place for place, task in enumerate(stand.tasks)}
    known = set(old)
    first: str | None = None
    for task in reversed(order):
        is_old = task in known
        if first is not None and (not is_old or current[first] < current[task]):
            yield task, f"it would come before {first}, and {stand.tasks[first]}"
        if is_old and stand.tasks.get(task) and (first is None or current[task] < current[first]):
            first = task


def _removed_epic(key: str, stand: EpicProgress) -> pb.PlanChange:
    task = next((f"of its task {task}: {locked}" for task, locked in stand.tasks.items() if locked), "")
    return pb.PlanChange(kind=_REMOVED, epic=key, refusal=stand.started or stand.merged or task)


def _longest_rising(keys: Sequence[str], places: Mapping[str, int]) -> set[str]:
    """Returns the most keys whose places rise in this order: those that need not move."""
    tops: list[int] = []
    ends: list[str] = []
    before: dict[str, str | None] = {}
    for key in keys:
        length = bisect_left(tops, places[key])
        before[key] = ends[length - 1] if length else None
        tops[length:] = [places[key]] if length == len(tops) else [places[key], *tops[length + 1 :]]
        ends[length:] = [key] if length == len(ends) else [key, *ends[length + 1 :]]
    found: set[str] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found
