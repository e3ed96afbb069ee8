"""What answers to questions allow in a whole run is listed, and can be taken back."""

from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.db.tables import audit, runs
from scheduler_svc.store.migrations.versions.v0066_granted_permissions import fill_granted
from scheduler_svc.store.queries.resources import get_spec
from tests.integration.scheduler.test_apply_plan import error_of
from tests.integration.scheduler.test_operator import reason_of
from tests.support.scheduler import Scheduler, eventually, make_plan

RULE = "Bash(make x)"


async def fails_after_an_answer(session: FakeSession) -> pb.SessionFinished:
    """The first attempt of task one asks for a command, for which ada's answer holds in the whole run, and fails."""
    if not session.request.attempt.endswith("/tasks/one/attempts/1"):
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
    session.emit(agent_session=pb.AgentSession(id="s1"))
    session.emit(
        approval_requested=pb.ApprovalRequested(approval_id="q", question="?", tool="Bash", target="make x")
    )
    while "q" not in session.answers:
        await session.news()
    said = pb.ApprovalResolved(approval_id="q", approved=True, scope=pb.APPROVAL_SCOPE_RUN, rule=RULE)
    session.emit(approval_resolved=said)
    session.events[-1].actor = "user:ada"
    return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="not yet")


async def granted(scheduler: Scheduler) -> str:
    """Returns an ended run in which the rule was granted; its second task has the rule from the plan as well."""
    plan = make_plan({"a": ["one", "two", "three"]})
    plan.epics[0].tasks[1].permissions.allow.append(RULE)
    run = await scheduler.create(plan)
    await scheduler.until(run, lambda event: event.HasField("task_waiting"))
    answer = pb.ResolveApprovalRequest(
        attempt=f"{run}/epics/a/tasks/one/attempts/1",
        approval_id="q",
        approved=True,
        scope=pb.APPROVAL_SCOPE_RUN,
    )
    await scheduler.api.ResolveApproval(answer)
    await scheduler.finished(run)
    return run


async def test_a_permission_of_the_run_is_revoked(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Later sessions lack it, also one that resumes the session that asked and those of added tasks; not the plan's own."""
    worker.play = fails_after_an_answer
    run = await granted(scheduler)
    assert [each.permissions.allow for each in worker.called("StartSession")] == [[], [RULE], [RULE]]
    [found] = (await scheduler.run(run)).granted_permissions
    assert (found.rule, found.actor, found.HasField("grant_time")) == (RULE, "user:ada", True)

    request = pb.RevokePermissionRequest(name=run, rule=RULE, request_id="r1")
    answer = await scheduler.api.RevokePermission(request)
    assert not answer.run.granted_permissions
    assert await scheduler.api.RevokePermission(request) == answer
    page = await scheduler.api.ListEvents(pb.ListEventsRequest(parent=run, page_size=1000))
    revoked = [event for event in page.events if event.HasField("permission_revoked")]
    assert [(each.actor, each.permission_revoked.rule) for each in revoked] == [("user:ada", RULE)]
    audited = sa.select(audit.c.user, audit.c.resource).where(audit.c.method.like("%RevokePermission"))
    rows = await scheduler.app.database.read(lambda connection: connection.execute(audited).all())
    assert [tuple(row) for row in rows] == [("user:ada", run)]

    name = RunName.parse(run).epic("a")
    kept = await scheduler.app.database.read(partial(get_spec, name=name.task("two")))
    assert kept.permissions.allow == [RULE], "the plan allows it"
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=str(name.task("one")), resume=True))
    await scheduler.api.AddTask(
        pb.AddTaskRequest(parent=str(name), task=pb.PlanTask(key="four", prompt="More"))
    )
    await eventually(lambda: len(worker.called("StartSession")) == 5)
    later = {each.attempt.split("/")[5]: each for each in worker.called("StartSession")[3:]}
    assert later["one"].resume_attempt.endswith("/one/attempts/1")
    assert [each.permissions.allow for each in later.values()] == [[], []]


async def test_only_what_was_granted_is_revoked(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The error lists what was granted, or says how a rule of the plan is changed; grants of earlier versions count."""
    worker.play = fails_after_an_answer
    run = await granted(scheduler)

    def as_before(connection: sa.Connection) -> None:
        connection.execute(sa.update(runs).values(granted=None))
        fill_granted(connection)

    await scheduler.app.database.submit(as_before)
    assert list((await scheduler.run(run)).granted_permissions) == [pb.GrantedPermission(rule=RULE)]

    missing = pb.RevokePermissionRequest(name="runs/none", rule=RULE)
    assert await reason_of(scheduler.api.RevokePermission(missing)) == pb.ERROR_REASON_NOT_FOUND
    other = pb.RevokePermissionRequest(name=run, rule="Bash(make y)")
    error = await error_of(scheduler.api.RevokePermission(other))
    assert error.reason == pb.ERROR_REASON_INVALID_FIELD
    assert error.message.endswith(f"answers allow {RULE}")
    once = pb.RevokePermissionRequest(name=run, rule=RULE)
    await scheduler.api.RevokePermission(once)
    error = await error_of(scheduler.api.RevokePermission(once))
    assert "change the plan with heddle apply" in error.message
