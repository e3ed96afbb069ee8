"""Applies a plan's defaults: the effective values of each task of a run. Pure."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from heddle import pb, urls
from heddle.plan.rules import SCRIPTED, resolved_merge
from heddle.plan.validation import permission_rules

# For an epic or task without a priority.
DEFAULT_PRIORITY: Final = 999

# Seconds that a session waits for background tasks of its agent, unless the plan sets it.
BACKGROUND_WAIT: Final = 300


def resolved_epic(epic: pb.PlanEpic, plan: pb.Plan) -> pb.PlanEpic:
    """Returns an epic of a plan without its tasks, with all that the plan has for it."""
    defaults = plan.defaults
    resolved = pb.PlanEpic()
    resolved.CopyFrom(epic)
    resolved.ClearField("tasks")
    resolved.title = epic.title or epic.key
    if not epic.HasField("priority"):
        resolved.priority = DEFAULT_PRIORITY
    resolved.on_failure = epic.on_failure or defaults.on_failure or pb.ON_FAILURE_CONTINUE
    resolved.merge = resolved_merge(epic, defaults)
    resolved.on_conflict = epic.on_conflict or defaults.on_conflict or pb.ON_CONFLICT_WAIT
    resolved.sync = epic.sync or plan.sync or pb.SYNC_POLICY_OFF
    for name in ("place", "resources"):
        getattr(resolved, name).update({**getattr(plan, name), **getattr(epic, name)})
    return resolved


def resolved_tasks(epic: pb.PlanEpic, defaults: pb.TaskDefaults, agent: str) -> list[pb.PlanTask]:
    """Returns the epic's tasks in the order in which they run.

    `agent` replaces the plan's default agent; empty keeps it.
    """
    permissions = permission_rules.merged(epic.permissions, defaults.permissions)
    tasks = [_resolved_task(task, defaults, agent, permissions) for task in epic.tasks]
    for task in tasks:
        if not task.reviews:
            task.reviews.extend(epic.reviews)
    return sorted(tasks, key=lambda task: task.priority)


def merge_checks(plan: pb.Plan, defaults: pb.TaskDefaults) -> pb.MergeChecks:
    """Returns the checks of a merged tree: those of the plan, or else those of the defaults.

    The defaults include the project's own checks. The checks of the tasks do not count: a task may deliberately
    change what an earlier task was checked for.
    """
    said = plan.merge_checks
    resolved = pb.MergeChecks(checks=said.checks if plan.HasField("merge_checks") else defaults.checks)
    limits = said if said.HasField("timeout") else defaults
    if limits.HasField("timeout"):
        resolved.timeout.CopyFrom(limits.timeout)
    return resolved


def with_place(plan: pb.Plan, file: pb.ProjectFile | None, project: str) -> pb.Plan:
    """Returns a plan with the labels of the project file, if the project is a URL; those of the plan win."""
    resolved = pb.Plan()
    resolved.CopyFrom(plan)
    if file and urls.is_url(project):
        resolved.place.update({**file.place, **plan.place})
    return resolved


def with_checks(defaults: pb.TaskDefaults, file: pb.ProjectFile | None) -> pb.TaskDefaults:
    """Returns a plan's defaults, with the checks of the project file if they have none."""
    resolved = pb.TaskDefaults()
    resolved.CopyFrom(defaults)
    if file and not resolved.checks:
        resolved.checks.extend(file.checks)
    return resolved


def _resolved_task(
    task: pb.PlanTask, defaults: pb.TaskDefaults, agent: str, permissions: pb.Permissions
) -> pb.PlanTask:
    resolved = pb.PlanTask()
    resolved.CopyFrom(task)
    resolved.title = task.title or task.key
    resolved.agent = task.agent or agent or defaults.agent or SCRIPTED
    if not task.HasField("priority"):
        resolved.priority = DEFAULT_PRIORITY
    if not task.HasField("retries"):
        resolved.retries = defaults.retries
    if not task.HasField("timeout") and defaults.HasField("timeout"):
        resolved.timeout.CopyFrom(defaults.timeout)
    if not task.HasField("silence") and defaults.HasField("silence"):
        resolved.silence.CopyFrom(defaults.silence)
    if not task.HasField("background_wait") and defaults.HasField("background_wait"):
        resolved.background_wait.CopyFrom(defaults.background_wait)
    if not task.checks:
        resolved.checks.extend(defaults.checks)
    if not task.HasField("max_turns") and defaults.HasField("max_turns"):
        resolved.max_turns = defaults.max_turns
    resolved.model = task.model or defaults.model
    resolved.expect = task.expect or defaults.expect
    resolved.allow_files[:] = dict.fromkeys([*defaults.allow_files, *task.allow_files])
    resolved.system_prompt = task.system_prompt or defaults.system_prompt
    resolved.effort = task.effort or defaults.effort
    if not task.tools:
        resolved.tools.extend(defaults.tools)
    if not task.mcp_servers:
        resolved.mcp_servers.extend(defaults.mcp_servers)
    resolved.permissions.CopyFrom(permission_rules.merged(task.permissions, permissions))
    return resolved


def replace_agent(spec: pb.PlanTask, agent: str) -> None:
    """Replaces the agent of a task; an agent of another kind also clears the model."""
    if agent.partition(":")[0] != spec.agent.partition(":")[0]:
        # Each kind of agent has its own names for models.
        spec.model = ""
    spec.agent = agent


def background_wait(spec: pb.PlanTask) -> Duration:
    """Returns how long a session of the task waits for its agent's background tasks."""
    return spec.background_wait if spec.HasField("background_wait") else Duration(seconds=BACKGROUND_WAIT)
