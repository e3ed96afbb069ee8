"""The view of a plan file for the form: all errors with their lines, or the preview of the run."""

from collections import Counter
from collections.abc import Mapping

from heddle import labels, pb
from heddle.plan import file
from heddle.plan.graphs import analysis
from heddle.plan.rules import SCRIPTED
from heddle.plan.validation import resource_rules
from heddle.plan.yaml.inputs import Input
from heddle.plan.yaml.source import Problem
from ui_svc.views import View


def read_plan(
    text: str, parallel: int, inputs: Mapping[str, str] | None = None
) -> tuple[pb.Plan | None, View]:
    """Returns the plan, None if it has errors, and its preview with at most this many parallel agents."""
    loaded = file.parse(text, "plan", inputs)
    problems = [
        # The page has a field for each input, and no command line.
        {"line": each.line, "column": each.column, "field": each.field, "message": _without_option(each)}
        for each in loaded.problems
    ]
    found = {
        "problems": problems,
        "inputs": list(map(_input, loaded.declared_inputs)),
        "epics": len(loaded.plan.epics),
        "tasks": sum(len(epic.tasks) for epic in loaded.plan.epics),
    }
    if problems:
        return None, found
    return loaded.plan, found | {"outlook": outlook(loaded.plan, parallel)}


def _without_option(problem: Problem) -> str:
    return (
        problem.message.partition(": --input ")[0] if problem.field.startswith("inputs.") else problem.message
    )


def _input(declared: Input) -> View:
    """Returns an input for the form; its default is null if there is none."""
    return {
        "name": declared.name,
        "description": declared.description,
        "type": declared.kind,
        "required": declared.required,
        "default": declared.default,
        "options": list(declared.options),
    }


def tasks_by_agent(plan: pb.Plan, chosen: str = "") -> dict[str, int]:
    """Returns the agents that a run of the plan would use, by name, each with its number of tasks and candidates.

    `chosen` replaces the plan's default.
    """
    default = chosen or plan.defaults.agent or SCRIPTED
    tasks = [task for epic in plan.epics for task in epic.tasks]
    lanes = ((task, lane) for task in tasks for lane in task.candidates or [pb.PlanCandidate()])
    return dict(sorted(Counter(lane.agent or task.agent or default for task, lane in lanes).items()))


def outlook(plan: pb.Plan, parallel: int) -> View:
    """Returns the preview of a run; lengths are seconds, or tasks if no task has an estimate."""
    found = analysis.analyse(plan, parallel)
    spans = analysis.played(plan, analysis.task_lengths(plan), parallel)
    titles = {epic.key: epic.title or epic.key for epic in plan.epics}
    return {
        "title": plan.name,
        "in_seconds": found.in_seconds,
        "parallel": parallel,
        "waves": [list(wave) for wave in found.waves],
        "critical_path": list(found.critical_path),
        "critical_length": found.critical_length,
        "total": found.total_work,
        "lower_bound": found.lower_bound,
        "makespan": found.makespan,
        "budget": plan.budget_usd_micros if plan.HasField("budget_usd_micros") else None,
        "epics": [
            {
                "key": epic.key,
                "title": titles[epic.key],
                "depends_on": list(epic.depends_on),
                # What its place must have, in words; empty: nothing.
                "place": labels.text({**plan.place, **epic.place}),
                "resources": resource_rules.text({**plan.resources, **epic.resources}),
                "spans": [
                    {
                        "title": task.title or task.key,
                        "from": span.start,
                        "to": span.end,
                        "needs": list(task.needs),
                    }
                    for task, span in zip(analysis.planned_order(epic), spans[epic.key], strict=True)
                ],
            }
            for epic in plan.epics
        ],
        # Epics that declare no paths: conflicts with these cannot be predicted.
        "undeclared": sum(not epic.touches for epic in plan.epics),
        # False: no epic declares its paths, so no conflict can be predicted.
        "touches": any(epic.touches for epic in plan.epics),
        "overlaps": [
            {"epic": each.epic, "other": each.other, "glob": each.glob, "other_glob": each.other_glob}
            for each in found.overlaps
        ],
    }
