"""Finds budgets that are used up while work below them remains, and writes the messages about them. Pure.

The cost of a session is known after each turn of its agent. If k sessions share a
budget, it is overrun by at most one turn of each: the turns that are in progress
when the report arrives that reaches the budget.
"""

from collections.abc import Container, Iterable, Iterator, Sequence

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.policy.actions import HoldEpic, PauseRun, SpentBudget, StopAttempt
from scheduler_svc.policy.slots import is_ready, merged
from scheduler_svc.policy.snapshot import RunView, TaskView


def used_up(run: RunView) -> list[SpentBudget]:
    """Returns the budgets that keep `run` from continuing, the widest first."""
    return [each for each in _budgets(run) if each.spent >= each.budget and _wants_more(run, each)]


def is_wide(spent: SpentBudget) -> bool:
    """Returns whether a used-up budget stops the whole run, and not only one epic."""
    return spent.level in {pb.BUDGET_LEVEL_RUN, pb.BUDGET_LEVEL_PROJECT}


def held_epics(spent: Iterable[SpentBudget]) -> frozenset[str]:
    """Returns the keys of the epics that the used-up budgets of epics and tasks stop."""
    return frozenset(each.name.epic for each in spent if not isinstance(each.name, RunName))


def halted(run: RunView, spent: Iterable[SpentBudget]) -> Iterator[StopAttempt | HoldEpic | PauseRun]:
    """Yields the actions that end the spending below the budgets in `spent`.

    A budget of an epic or task holds its epic. A budget of the run or its project pauses the run, and so
    does the last epic that could continue.
    """
    spent = tuple(spent)
    yield from _held(run, spent)
    told: set[TaskName] = set()
    for each in spent:
        for task in _below(run, each):
            if task.live_attempt and _spends(task) and not task.stopping and task.name not in told:
                told.add(task.name)
                yield StopAttempt(task.live_attempt, what(each), counts=False)
    wide = tuple(each for each in spent if is_wide(each))
    pauses = wide or (spent and not _others_continue(run, held_epics(spent)))
    if pauses and run.state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        yield PauseRun(run.name, "; ".join(map(_reason, spent)), wide)


def _held(run: RunView, spent: Sequence[SpentBudget]) -> Iterator[HoldEpic]:
    """Yields the changes of which epics are held: each is reported once."""
    for epic in run.epics:
        mine = [each for each in spent if not is_wide(each) and each.name[:2] == epic.name]
        if mine and not epic.over_budget:
            yield HoldEpic(epic.name, mine[0], "; ".join(map(_reason, mine)))
        elif epic.over_budget and not mine:
            yield HoldEpic(epic.name)


def _others_continue(run: RunView, held: Container[str]) -> bool:
    """Returns whether any epic but the held ones works, or moves on without the operator's money."""
    done = merged(run)
    return any(is_ready(epic, done, held) for epic in run.epics)


def _reason(spent: SpentBudget) -> str:
    return f"{what(spent)}: {_way_on(spent)}"


def what(spent: SpentBudget) -> str:
    """Returns a message about the budget that is used up."""
    whose = {
        pb.BUDGET_LEVEL_TASK: f"task {_inside(spent.name)}",
        pb.BUDGET_LEVEL_EPIC: f"epic {_inside(spent.name)}",
        pb.BUDGET_LEVEL_RUN: "the run",
        pb.BUDGET_LEVEL_PROJECT: "all runs of the project",
    }[spent.level]
    return f"the budget of {dollars(spent.budget)} for {whose} is used up ({dollars(spent.spent)} spent)"


def dollars(micros: int) -> str:
    """Returns `$0.05`, with more digits only if needed."""
    whole, _, cents = f"{micros / 1_000_000:.6f}".rstrip("0").partition(".")
    return f"${whole}.{cents:0<2}"


def _way_on(spent: SpentBudget) -> str:
    again = f"heddle resume {spent.name.run}"
    if spent.level == pb.BUDGET_LEVEL_PROJECT:
        return f"raise HEDDLE_PROJECT_BUDGET_USD of the scheduler, then {again}"
    whose = f" --of {_inside(spent.name)}" if _inside(spent.name) else ""
    # Suggests another budget of the planned size.
    return f"{again}{whose} --budget-usd {dollars(spent.spent + spent.budget)[1:]}"


def _inside(name: RunName | EpicName | TaskName) -> str:
    """Returns EPIC or EPIC/TASK; empty for a run."""
    return "/".join(name[1:])


def _budgets(run: RunView) -> Iterator[SpentBudget]:
    """Yields all budgets that apply to the run or its parts, with the amount spent of each."""
    if run.project_budget is not None:
        yield SpentBudget(pb.BUDGET_LEVEL_PROJECT, run.name, run.project_budget, run.project_spent)
    if run.budget is not None:
        spent = sum(task.spent for epic in run.epics for task in epic.tasks)
        yield SpentBudget(pb.BUDGET_LEVEL_RUN, run.name, run.budget, spent)
    for epic in run.epics:
        if epic.budget is not None:
            spent = sum(task.spent for task in epic.tasks)
            yield SpentBudget(pb.BUDGET_LEVEL_EPIC, epic.name, epic.budget, spent)
        for task in epic.tasks:
            if task.budget is not None:
                yield SpentBudget(pb.BUDGET_LEVEL_TASK, task.name, task.budget, task.spent)


def _wants_more(run: RunView, budget: SpentBudget) -> bool:
    """Returns whether any task below a budget spends money, or would do so without the budget."""
    return any(_spends(task) or _waits(task) for task in _below(run, budget))


def _below(run: RunView, budget: SpentBudget) -> Iterator[TaskView]:
    for epic in run.epics:
        for task in epic.tasks:
            if task.name[: len(budget.name)] == budget.name:
                yield from task.sessions


def _spends(task: TaskView) -> bool:
    return task.live_attempt is not None and not task.checking and not task.takes_over


def _waits(task: TaskView) -> bool:
    return task.live_attempt is None and task.state == pb.TASK_STATE_PENDING and not task.takes_over
