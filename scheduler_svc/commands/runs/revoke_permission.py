"""Takes back what an operator has allowed in a whole run."""

from collections.abc import Iterator

from heddle import pb
from heddle.errors import HeddleError, invalid_field
from heddle.names import EpicName, RunName, TaskName
from heddle.plan.validation.permission_rules import merged
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import run_row
from scheduler_svc.store.rows import allowed_rules, plans


def revoke_permission(connection: Connection, name: RunName, actor: str, rule: str, now: int) -> None:
    """Has every later session of the run ask again; raises NOT_FOUND, and INVALID_FIELD if it was not granted.

    A task for which the plan allows the same keeps that.
    """
    found = allowed_rules.granted(run_row(connection, name).granted)
    written = plans.read(connection, name).plan
    if rule not in {each.rule for each in found}:
        raise _not_granted(name, rule, [each.rule for each in found], written)
    keep = set(_allowing(name, written, rule))
    allowed_rules.take_back(
        connection, name, rule, keeps=lambda task: task.whole in keep or task.parent in keep
    )
    append(connection, [event(name, actor, permission_revoked=pb.PermissionRevoked(rule=rule))], now)


def _allowing(run: RunName, plan: pb.Plan, rule: str) -> Iterator[EpicName | TaskName]:
    """Yields the epics for which the plan itself allows a rule, and the tasks that allow it alone."""
    for epic in plan.epics:
        name = run.epic(epic.key)
        if rule in merged(epic.permissions, plan.defaults.permissions).allow:
            yield name
        yield from (name.task(task.key) for task in epic.tasks if rule in task.permissions.allow)


def _not_granted(run: RunName, rule: str, granted: list[str], plan: pb.Plan) -> HeddleError:
    if next(_allowing(run, plan, rule), None):
        return invalid_field(
            "rule",
            f"{rule!r} is allowed by the plan of {run}, not by an answer; change the plan with heddle apply",
        )
    listed = f"; answers allow {', '.join(granted)}" if granted else ""
    return invalid_field("rule", f"no answer has allowed {rule!r} in the whole of {run}{listed}")
