"""What each task waits for: the task before it in its epic, its `needs`, and the epics that its epic depends on. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from heddle.plan.graphs import graph

ORDER: Final = "order"
NEEDS: Final = "needs"
DEPENDS_ON: Final = "depends_on"

# More steps of a cycle would not help its reader.
_MOST_STEPS: Final = 20


class EpicTasks(NamedTuple):
    """An epic: the tasks in the order in which they run, each with its needs as EPIC/TASK, and the epics before it."""

    key: str
    tasks: Sequence[tuple[str, Sequence[str]]]
    depends_on: Sequence[str] = ()


def dependencies(epics: Iterable[EpicTasks]) -> dict[str, dict[str, str]]:
    """Returns for each task, as EPIC/TASK, the tasks that end before it starts, each with the reason.

    Needs and dependencies that do not exist are left out.
    """
    epics = tuple(epics)
    found: dict[str, dict[str, str]] = {f"{epic.key}/{task}": {} for epic in epics for task, _ in epic.tasks}
    last = {epic.key: f"{epic.key}/{epic.tasks[-1][0]}" for epic in epics if epic.tasks}
    for epic in epics:
        before = ""
        for task, needs in epic.tasks:
            name = f"{epic.key}/{task}"
            if before:
                found[name][before] = ORDER
            else:
                found[name].update({last[each]: DEPENDS_ON for each in epic.depends_on if each in last})
            found[name].update({each: NEEDS for each in needs if each in found})
            before = name
    return found


def cycle(waits_for: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Returns the tasks of a cycle, of which the first has a need in it; empty if there is none."""
    found = next(iter(graph.cycles(waits_for)), [])
    for place, name in enumerate(found):
        following = found[(place + 1) % len(found)]
        if waits_for[name][following] == NEEDS:
            return found[place:] + found[:place]
    return found


def path_of(found: Sequence[str], waits_for: Mapping[str, Mapping[str, str]]) -> str:
    """Returns a cycle as text, each step with its reason: "a/two → b/one (needs) → …"."""
    steps: list[tuple[str, str]] = []
    for name, following in zip(found, [*found[1:], found[0]], strict=True):
        reason = waits_for[name][following]
        # Of the tasks of an epic, the first and the last say enough.
        if reason == ORDER and steps and steps[-1][1] == ORDER:
            steps.pop()
        steps.append((following, reason))
    shown = [f"{name} ({reason})" for name, reason in steps[:_MOST_STEPS]]
    return " → ".join([found[0], *shown, *(["…"] if len(steps) > _MOST_STEPS else [])])
