"""Validates a plan, whether it comes from a YAML file or from a client's request."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

from heddle import agents, labels, pb
from heddle.errors import Violation
from heddle.plan.graphs import analysis, graph, task_graph
from heddle.plan.validation import (
    agent_rules,
    budget_rules,
    candidate_rules,
    permission_rules,
    resource_rules,
    review_rules,
    script_rules,
)
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import at_most, did_you_mean, one_of, shown

SCRIPTED: Final = "scripted"

MAX_EPICS: Final = 1_000
MAX_TASKS: Final = 10_000
MAX_PROMPT_BYTES: Final = 200_000
# Per kind of report of a check, and for allow_files.
MAX_GLOBS: Final = 20
# A plan is sent in one gRPC message, which is limited to 4 MiB.
MAX_PLAN_BYTES: Final = 3_000_000
# Users would not read more errors, and a hostile plan could have millions.
MAX_VIOLATIONS: Final = 1_000


def violations(plan: pb.Plan) -> list[Violation]:
    """Returns every violation in `plan` (the first thousand); an empty list means that it can run."""
    return oversized(plan) or list(islice(_plan(plan), MAX_VIOLATIONS))


def oversized(plan: pb.Plan) -> list[Violation]:
    """Returns the violations of a plan with too many parts to check each; an empty list for all others. Fast."""
    found = []
    if len(plan.epics) > MAX_EPICS:
        found.append(Violation("epics", f"has {len(plan.epics):,} epics; {at_most(MAX_EPICS)}"))
    # Counting the tasks of millions of epics would take as long as checking them.
    tasks = sum(len(epic.tasks) for epic in plan.epics) if len(plan.epics) <= 10 * MAX_EPICS else 0
    if tasks > MAX_TASKS:
        found.append(Violation("epics", f"has {tasks:,} tasks; {at_most(MAX_TASKS)}"))
    return found


def task_violations(task: pb.PlanTask, defaults: pb.TaskDefaults) -> list[Violation]:
    """Returns every violation in a task that is added to a run; its key is not checked."""
    return list(islice(_task("task", task, defaults), MAX_VIOLATIONS))


def agent_problem(agent: str) -> str | None:
    """Returns why an agent's name is malformed; None if it is well-formed."""
    if "\0" in agent:
        return "must not contain a NUL character"
    if agents.find(agent) is not None:
        return agents.problem(agent)
    names = [kind.name for kind in agents.kinds() if not kind.is_prefix]
    hint = did_you_mean(agent, names) or f"; use {one_of(agents.forms())}"
    return f"{shown(agent)} is not a known agent{hint}"


def resolved_agent(task: pb.PlanTask, defaults: pb.TaskDefaults) -> str:
    """Returns the agent that runs `task`."""
    return task.agent or defaults.agent or SCRIPTED


def resolved_merge(epic: pb.PlanEpic, defaults: pb.TaskDefaults) -> "pb.MergePolicy.ValueType":
    """Returns when `epic` is merged."""
    return epic.merge or defaults.merge or pb.MERGE_POLICY_AUTO


def _plan(plan: pb.Plan) -> Iterator[Violation]:
    yield from text_rules.required_title("name", plan.name)
    yield from _budget("budget_usd", plan)
    yield from _size(plan)
    yield from _agent("defaults.agent", plan.defaults.agent)
    yield from _limits("defaults", plan.defaults)
    yield from _on_failure("defaults.on_failure", plan.defaults.on_failure)
    yield from _merge("defaults", plan.defaults)
    yield from text_rules.title("merge_into", plan.merge_into)
    yield from checks("merge_checks", plan.merge_checks.checks)
    if plan.merge_checks.HasField("timeout"):
        yield from text_rules.positive("merge_checks.timeout", plan.merge_checks.timeout)
    if plan.merge_style not in pb.MergeStyle.values():
        yield Violation("merge_style", f"{plan.merge_style} is unknown; use merge or squash")
    yield from _sync("sync", plan.sync)
    yield from _place("", plan)
    yield from _keys("epics", [epic.key for epic in plan.epics])
    for index, epic in enumerate(plan.epics):
        yield from _epic(f"epics[{index}]", epic, plan.defaults)
        yield from _without_limit(f"epics[{index}]", epic, plan)
    yield from _dependencies(plan.epics)
    yield from needs(plan)
    yield from _never_merged(plan)


def _size(plan: pb.Plan) -> Iterator[Violation]:
    if not plan.epics:
        yield Violation("epics", "needs at least one epic")
    if plan.ByteSize() > MAX_PLAN_BYTES:
        yield Violation("epics", f"the plan is {plan.ByteSize():,} bytes; {at_most(MAX_PLAN_BYTES)}")


def _epic(path: str, epic: pb.PlanEpic, defaults: pb.TaskDefaults) -> Iterator[Violation]:
    yield from text_rules.title(f"{path}.title", epic.title)
    for index, glob in enumerate(epic.touches):
        yield from text_rules.inside_worktree(f"{path}.touches[{index}]", glob)
    yield from _place(f"{path}.", epic)
    yield from _on_failure(f"{path}.on_failure", epic.on_failure)
    yield from _merge(path, epic)
    yield from _sync(f"{path}.sync", epic.sync)
    yield from permission_rules.violations(f"{path}.permissions", epic.permissions)
    yield from _budget(f"{path}.budget_usd", epic)
    yield from review_rules.violations(f"{path}.reviews", epic.reviews, agent_problem)
    if not epic.tasks:
        yield Violation(f"{path}.tasks", "needs at least one task")
    yield from _keys(f"{path}.tasks", [task.key for task in epic.tasks])
    for index, task in enumerate(epic.tasks):
        yield from _task(f"{path}.tasks[{index}]", task, defaults)


def _task(path: str, task: pb.PlanTask, defaults: pb.TaskDefaults) -> Iterator[Violation]:
    yield from text_rules.title(f"{path}.title", task.title)
    yield from _prompt(f"{path}.prompt", task)
    yield from text_rules.title(f"{path}.source", task.source)
    if task.HasField("estimate"):
        yield from text_rules.positive(f"{path}.estimate", task.estimate)
    yield from _agent(f"{path}.agent", task.agent)
    yield from _limits(path, task)
    yield from _budget(f"{path}.budget_usd", task)
    yield from review_rules.violations(f"{path}.reviews", task.reviews, agent_problem)
    agent = resolved_agent(task, defaults)
    yield from candidate_rules.violations(path, task, agent, agent_problem)
    for each in dict.fromkeys([agent, *(each.agent or agent for each in task.candidates)]):
        yield from agent_rules.unheeded(path, task, defaults, each)
    if task.script and agent != SCRIPTED:
        yield Violation(
            f"{path}.script",
            f"only the scripted agent can play a script; this task's agent is {shown(agent)}",
        )
    for index, step in enumerate(task.script):
        yield from script_rules.step(f"{path}.script[{index}]", step)


def _without_limit(path: str, epic: pb.PlanEpic, plan: pb.Plan) -> Iterator[Violation]:
    """Yields the tasks under a budget whose agents do not report their usage while they run."""
    for index, task in enumerate(epic.tasks):
        where = f"{path}.tasks[{index}]"
        budget = budget_rules.budget_of(plan, epic, task)
        agent = _unstoppable(task, plan.defaults)
        if budget and agent:
            kind = agents.find(agent)
            holds = kind is not None and kind.holds_max_turns
            yield budget_rules.needs_limit(where, agent, budget, holds_max_turns=holds)
        elif budget and not (task.HasField("timeout") or plan.defaults.HasField("timeout")):
            # Only the time limit of the task also applies to its reviewers.
            choosing = [task.choose.agent] if task.HasField("choose") else []
            for name in [*(review.agent for review in task.reviews or epic.reviews), *choosing]:
                reviewer = agents.find(name)
                if reviewer is not None and not reviewer.reports_usage_live:
                    yield budget_rules.needs_limit(where, name, budget)
                    break


def _unstoppable(task: pb.PlanTask, defaults: pb.TaskDefaults) -> str:
    """Returns an agent of the task or a candidate that neither reports its usage nor has a limit; empty: none."""
    own = resolved_agent(task, defaults)
    for agent in dict.fromkeys([own, *(each.agent or own for each in task.candidates)]):
        kind = agents.find(agent)
        if kind and not (kind.reports_usage_live or _limited(kind, task) or _limited(kind, defaults)):
            return agent
    return ""


def _limited(kind: agents.AgentKind, part: pb.PlanTask | pb.TaskDefaults) -> bool:
    return part.HasField("timeout") or (kind.holds_max_turns and part.HasField("max_turns"))


def _prompt(path: str, task: pb.PlanTask) -> Iterator[Violation]:
    size = len(task.prompt.encode())
    if not task.prompt.strip() and not task.script:
        yield Violation(path, "is missing; a task needs a prompt or a script")
    if size > MAX_PROMPT_BYTES:
        yield Violation(path, f"is {size:,} bytes; {at_most(MAX_PROMPT_BYTES)}")
    yield from text_rules.no_nul(path, task.prompt)


def _agent(path: str, agent: str) -> Iterator[Violation]:
    if agent and (problem := agent_problem(agent)):
        yield Violation(path, problem)


def _limits(path: str, limits: pb.TaskDefaults | pb.PlanTask) -> Iterator[Violation]:
    if limits.retries < 0:
        yield Violation(f"{path}.retries", "must not be negative")
    if limits.HasField("timeout"):
        yield from text_rules.positive(f"{path}.timeout", limits.timeout)
    if limits.HasField("silence"):
        yield from text_rules.positive(f"{path}.silence", limits.silence)
    if limits.HasField("background_wait"):
        yield from text_rules.positive(f"{path}.background_wait", limits.background_wait)
    if limits.HasField("max_turns") and limits.max_turns < 1:
        yield Violation(f"{path}.max_turns", "must be at least 1")
    yield from text_rules.title(f"{path}.model", limits.model)
    yield from permission_rules.violations(f"{path}.permissions", limits.permissions)
    yield from agent_rules.violations(path, limits)
    yield from checks(f"{path}.checks", limits.checks)
    if limits.expect not in pb.Expect.values():
        yield Violation(f"{path}.expect", f"{limits.expect} is unknown; use changes, nothing or any")
    yield from limited_globs(f"{path}.allow_files", limits.allow_files)


def _budget(path: str, part: pb.Plan | pb.PlanEpic | pb.PlanTask) -> Iterator[Violation]:
    if part.HasField("budget_usd_micros") and part.budget_usd_micros < 1:
        yield Violation(path, "must be greater than 0")


def checks(path: str, found: Sequence[pb.Check]) -> Iterator[Violation]:
    """Yields the violations of the checks at `path`."""
    first: dict[str, int] = {}
    for index, check in enumerate(found):
        yield from text_rules.required_title(f"{path}[{index}].name", check.name)
        place = first.setdefault(check.name, index)
        if place != index and check.name:
            yield Violation(
                f"{path}[{index}].name", f"{shown(check.name)} is also the name of {path}[{place}]"
            )
        yield from text_rules.command(f"{path}[{index}].run", check.run)
        for kind, globs in (("junit", check.junit), ("coverage", check.coverage), ("sarif", check.sarif)):
            yield from limited_globs(f"{path}[{index}].{kind}", globs)


def limited_globs(path: str, globs: Sequence[str]) -> Iterator[Violation]:
    """Yields the violations of globs at `path`, such as those of `allow_files`: too many, or outside the worktree."""
    if len(globs) > MAX_GLOBS:
        yield Violation(path, f"has {len(globs):,} globs; {at_most(MAX_GLOBS)}")
    for index, glob in enumerate(globs[:MAX_GLOBS]):
        yield from text_rules.inside_worktree(f"{path}[{index}]", glob)


def _on_failure(path: str, value: "pb.OnFailure.ValueType") -> Iterator[Violation]:
    if value not in pb.OnFailure.values():
        yield Violation(path, f"{value} is unknown; use continue, stop_epic or stop_run")


def _merge(path: str, part: pb.TaskDefaults | pb.PlanEpic) -> Iterator[Violation]:
    if part.merge not in pb.MergePolicy.values():
        yield Violation(f"{path}.merge", f"{part.merge} is unknown; use auto, manual or off")
    if part.on_conflict not in pb.OnConflict.values():
        yield Violation(f"{path}.on_conflict", f"{part.on_conflict} is unknown; use wait or agent")


def _place(prefix: str, part: pb.Plan | pb.PlanEpic) -> Iterator[Violation]:
    for problem in labels.problems(part.place):
        yield Violation(f"{prefix}place", problem)
    for name, problem in resource_rules.problems(part.resources):
        yield Violation(f"{prefix}resources{f'.{name}' if name else ''}", problem)


def _sync(path: str, policy: int) -> Iterator[Violation]:
    if policy not in pb.SyncPolicy.values():
        yield Violation(path, f"{policy} is unknown; use off or between_tasks")


def _never_merged(plan: pb.Plan) -> Iterator[Violation]:
    """Yields the dependencies on epics whose merge is off: waiting for them would never end."""
    off = {epic.key for epic in plan.epics if resolved_merge(epic, plan.defaults) == pb.MERGE_POLICY_OFF}
    for index, epic in enumerate(plan.epics):
        for place, key in enumerate(epic.depends_on):
            if key in off and key != epic.key:
                message = f"{shown(key)} is never merged (merge: off), so no epic can depend on it"
                yield Violation(f"epics[{index}].depends_on[{place}]", message)


def needs(plan: pb.Plan) -> Iterator[Violation]:
    """Yields the violations of `needs`: of unknown tasks, within an epic, and of tasks that wait for each other."""
    if not any(task.needs for epic in plan.epics for task in epic.tasks):
        return
    names = {f"{epic.key}/{task.key}" for epic in plan.epics for task in epic.tasks}
    for index, epic in enumerate(plan.epics):
        for place, task in enumerate(epic.tasks):
            seen: set[str] = set()
            for number, name in enumerate(task.needs):
                if problem := _need(name, epic.key, names, seen):
                    yield Violation(f"epics[{index}].tasks[{place}].needs[{number}]", problem)
                seen.add(name)
    epics = {epic.key: list(epic.depends_on) for epic in plan.epics}
    known = {key: [each for each in keys if each in epics and each != key] for key, keys in epics.items()}
    if graph.cycles(known):
        return
    waits_for = task_graph.dependencies(analysis.epic_tasks(plan))
    if found := task_graph.cycle(waits_for):
        key, _, first = found[0].partition("/")
        index = next(index for index, epic in enumerate(plan.epics) if epic.key == key)
        place = next(place for place, task in enumerate(plan.epics[index].tasks) if task.key == first)
        path = task_graph.path_of(found, waits_for)
        yield Violation(f"epics[{index}].tasks[{place}].needs", f"these tasks wait for each other: {path}")


def _need(name: str, epic: str, names: Collection[str], seen: Collection[str]) -> str:
    """Returns what is wrong with a need of a task of `epic`; empty if nothing is."""
    if name.count("/") != 1:
        return f"{shown(name)} is not a task of another epic; use EPIC/TASK"
    if name.partition("/")[0] == epic:
        return (
            f"{shown(name)} is in the same epic, whose tasks run in their order; name a task of another epic"
        )
    if name not in names:
        return f"there is no task {shown(name)}{did_you_mean(name, names)}"
    return f"{shown(name)} is listed twice" if name in seen else ""


def _keys(path: str, keys: Sequence[str]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        yield from text_rules.key(f"{path}[{index}].key", key)
        # Keys become names of folders and branches, and some file systems ignore case.
        place = first.setdefault(key.lower(), index)
        if place != index and key:
            yield Violation(
                f"{path}[{index}].key",
                f"{shown(key)} is also the key of {path}[{place}]; keys are case-insensitive",
            )


def _dependencies(epics: Sequence[pb.PlanEpic]) -> Iterator[Violation]:
    # Of several epics with the same key, the first counts.
    places = {epic.key: len(epics) - 1 - place for place, epic in enumerate(reversed(epics))}
    for index, epic in enumerate(epics):
        seen: set[str] = set()
        for place, key in enumerate(epic.depends_on):
            field = f"epics[{index}].depends_on[{place}]"
            if key == epic.key:
                yield Violation(field, f"{shown(key)} depends on itself")
            elif key not in places:
                hint = did_you_mean(key, places.keys() - {epic.key})
                yield Violation(field, f"there is no epic {shown(key)}{hint}")
            elif key in seen:
                yield Violation(field, f"{shown(key)} is listed twice")
            seen.add(key)
    yield from _cycles(epics, places)


def _cycles(epics: Sequence[pb.PlanEpic], places: dict[str, int]) -> Iterator[Violation]:
    known = {
        epic.key: [key for key in epic.depends_on if key in places and key != epic.key] for epic in epics
    }
    for cycle in graph.cycles(known):
        path = " → ".join([*cycle, cycle[0]])
        yield Violation(f"epics[{places[cycle[0]]}].depends_on", f"these epics depend on each other: {path}")
