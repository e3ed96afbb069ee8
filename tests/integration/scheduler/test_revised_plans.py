"""Drafts that change an existing plan: split an epic, plan the rest again after a failure."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.plan.yaml import writing
from heddle.testing.fake_session import FakeSession, succeed
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_apply_plan import applied, error_of
from tests.integration.scheduler.test_operator import reason_of
from tests.support.scheduler import Scheduler, make_plan

SPLIT = pb.PLAN_REVISION_KIND_SPLIT
REST = pb.PLAN_REVISION_KIND_REST
COMMAND = "command:do-it"


class Agent:
    """Answers as the agent of a draft with the next text; works on other tasks as `work` does."""

    def __init__(self, *answers: str | Callable[[], Any], work: Any = succeed) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.work = work

    async def __call__(self, session: FakeSession) -> pb.SessionFinished:
        if session.name.epic != "draft":
            return await self.work(session)  # type: ignore[no-any-return]  # a play of the fake worker
        self.prompts.append(session.request.prompt)
        answer = self.answers.pop(0)
        text = answer if isinstance(answer, str) else await answer()
        session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=text))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def said(plan: pb.Plan, reasons: str = "Because.") -> str:
    return f"{reasons}\n```yaml\n{writing.text_of(plan)}```\n"


def shop(**fields: Any) -> pb.Plan:
    """A plan without remarks: an epic that fails at its second task, one that depends on it, and another one."""
    plan = make_plan(
        {"api": ["one", "two", "three"], "page": ["one"], "docs": ["one"]}, agent=COMMAND, **fields
    )
    plan.defaults.checks.add(name="test", run="make test")
    plan.epics[0].on_failure = pb.ON_FAILURE_STOP_EPIC
    plan.epics[1].depends_on.append("api")
    for epic in plan.epics:
        epic.touches.append(f"{epic.key}/**")
        for task in epic.tasks:
            task.estimate.FromSeconds(60)
    return plan


def with_task(plan: pb.Plan, epic: str, key: str, **fields: Any) -> pb.Plan:
    changed = pb.Plan()
    changed.CopyFrom(plan)
    found = next(each for each in changed.epics if each.key == epic)
    found.tasks.add(key=key, prompt=f"Do {key}", **fields).estimate.FromSeconds(60)
    return changed


async def failing(session: FakeSession) -> pb.SessionFinished:
    """Fails the task api/two in a check."""
    if (session.name.epic, session.name.task) != ("api", "two"):
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
    check = pb.CheckFinished(name="test", command="make test", exit_code=2, output="E   assert 1 == 2\n")
    session.emit(check_finished=check)
    return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="check test failed with exit code 2")


async def failed_run(
    worker: FakeWorker, scheduler: Scheduler, plan: pb.Plan, **fields: Any
) -> tuple[str, int]:
    """Returns a run whose task api/two has failed, and its last event."""
    worker.play = Agent(work=failing)
    run = await scheduler.create(plan, **fields)
    events = await scheduler.finished(run)
    return run, events[-1].sequence


async def revised(scheduler: Scheduler, kind: Any, run: str = "", **fields: Any) -> tuple[str, pb.Draft]:
    """Lets an agent change a plan; returns the ended draft."""
    rounds = fields.pop("rounds", 3)
    goal = fields.pop("goal", "")
    request = pb.DraftPlanRequest(
        agent="command:plan-it",
        goal=goal,
        rounds=rounds,
        revises=pb.PlanRevision(kind=kind, run=run, **fields),
        project="" if run else "/repository",
    )
    made = (await scheduler.api.DraftPlan(request)).run
    assert (made.draft, made.revises) == (True, run)
    await scheduler.finished(made.name)
    return made.name, (await scheduler.api.GetDraft(pb.GetDraftRequest(name=made.name))).draft


def states(tasks: dict[str, pb.Task]) -> dict[str, str]:
    return {
        key: pb.TaskState.Name(task.state).removeprefix("TASK_STATE_").lower() for key, task in tasks.items()
    }


async def test_the_rest_of_a_failed_run_is_planned_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The agent is given what failed and why; applying its plan skips that, and runs the new task and what had not run."""
    drafted = Agent(said(shop()))
    worker.play = drafted
    first = pb.DraftPlanRequest(
        goal="Sell shoes",
        sources=[pb.DraftSource(name="spec.md", text="Red ones.")],
        agent="command:p",
        project="/repository",
    )
    draft = (await scheduler.api.DraftPlan(first)).run
    await scheduler.finished(draft.name)
    plan = (await scheduler.api.GetDraft(pb.GetDraftRequest(name=draft.name))).draft.plan
    run, last = await failed_run(worker, scheduler, plan, draft=draft.name)
    assert states(await scheduler.tasks(run)) == {
        "api/one": "accepted", "api/two": "failed", "api/three": "skipped", "page/one": "skipped", "docs/one": "accepted",
    }  # fmt: skip

    proposal = with_task(plan, "api", "two-again")
    del proposal.epics[0].tasks[2]
    worker.play = agent = Agent(said(proposal, "A smaller step."))
    name, found = await revised(scheduler, REST, run, epic="api", goal="Keep it small")
    (prompt,) = agent.prompts
    for part in (
        "Plan the rest of the epic `api` again",
        "Keep it small",
        "Sell shoes",
        "Red ones.",
        writing.text_of(plan),
        "task `api/one` is accepted (commit",
        "task `api/two` has failed: check test failed with exit code 2. It cannot change.",
        "test (`make test`), exit code 2:",
        "    E   assert 1 == 2",
        "task `api/three` was skipped",
        "task `page/one` was skipped",
    ):
        assert part in prompt, part
    assert "two failed, which stops its epic" not in prompt, "it will be skipped"
    assert (found.reasons, found.revision, found.skip_failed_of) == ("A smaller step.", 1, f"{run}/epics/api")
    assert [(each.epic, each.task, each.refusal) for each in found.difference.changes] == [
        ("api", "two-again", ""), ("api", "three", ""),
    ]  # fmt: skip
    (session,) = [each for each in worker.called("StartSession") if each.attempt.startswith(f"{name}/")]
    assert session.permissions.deny == ["Edit"]
    accepted = (await scheduler.epics(run))["api"].head_commit
    assert accepted
    assert (await scheduler.run(name)).base_ref == accepted, "the agent reads what was accepted"

    asked = applied(run, found.plan, revision=found.revision, skip_failed_of=found.skip_failed_of)
    shown = pb.ApplyPlanRequest()
    shown.CopyFrom(asked)
    shown.validate_only = True
    assert (await scheduler.api.ApplyPlan(shown)).difference == found.difference
    assert states(await scheduler.tasks(run))["api/two"] == "failed", "it was only shown"
    without = applied(run, found.plan)
    assert (
        "task two failed, which stops its epic" in (await error_of(scheduler.api.ApplyPlan(without))).message
    )

    worker.play = Agent()
    assert (await scheduler.api.ApplyPlan(asked)).difference.changes
    events = await scheduler.finished(run, after=last)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    assert states(await scheduler.tasks(run)) == {
        "api/one": "accepted", "api/two": "skipped", "api/two-again": "accepted", "page/one": "accepted", "docs/one": "accepted",
    }  # fmt: skip
    other = applied(run, found.plan, skip_failed_of="runs/other")
    assert await reason_of(scheduler.api.ApplyPlan(other)) == pb.ERROR_REASON_INVALID_FIELD
    missing = applied(run, found.plan, skip_failed_of=f"{run}/epics/none")
    assert await reason_of(scheduler.api.ApplyPlan(missing)) == pb.ERROR_REASON_NOT_FOUND


async def test_a_change_of_what_has_started_goes_back(worker: FakeWorker, scheduler: Scheduler) -> None:
    """So do invalid plans and plans that change nothing; each round names what is wrong, and the last answer counts."""
    run, _ = await failed_run(worker, scheduler, shop())
    late = with_task(shop(), "api", "four")
    late.epics[0].tasks[0].prompt = "Do one otherwise"
    del late.epics[2]
    good = with_task(shop(), "api", "four")
    worker.play = agent = Agent(
        said(late), said(good).replace("prompt: Do four", "promt: Do four"), said(shop()), said(good)
    )
    _, found = await revised(scheduler, REST, run)
    assert found.handovers == 4
    assert [(each.epic, each.task) for each in found.difference.changes] == [("api", "four")]
    assert "epics[0].tasks[0]: task api/one cannot be changed: it is accepted" in agent.prompts[1]
    assert (
        "epic docs cannot be removed; it must stay in the plan as it is: it has started" in agent.prompts[1]
    )
    assert "unknown key, did you mean prompt?" in agent.prompts[2]
    assert "the plan does not differ from the current one" in agent.prompts[3]
    assert not found.warnings, "what the current plan has as well is no remark"
    assert not (await scheduler.tasks(run)).keys() & {"api/four"}, "nothing is applied by itself"


async def test_an_epic_of_a_running_run_is_split(worker: FakeWorker, scheduler: Scheduler) -> None:
    """What of it has started stays; a plan with as many epics as before goes back."""
    release = asyncio.Event()

    async def wait(session: FakeSession) -> pb.SessionFinished:
        await release.wait()
        return await succeed(session)

    worker.play = agent = Agent(work=wait)
    run = await scheduler.create(shop(), max_parallel=1)
    await scheduler.until(run, lambda event: event.HasField("session_started"))
    split = shop()
    del split.epics[0].tasks[2:]
    split.epics.add(key="search", touches=["search/**"], tasks=[shop().epics[0].tasks[2]])
    split.epics[1].depends_on.append("search")
    agent.answers = [said(with_task(shop(), "api", "four")), said(split)]
    _, found = await revised(scheduler, SPLIT, run, epic="api")
    assert "Split the epic `api`" in agent.prompts[0]
    assert "task `api/one` is running. It cannot change." in agent.prompts[0]
    assert "so epic api is not split" in agent.prompts[1]
    assert found.skip_failed_of == ""
    assert (found.revises.kind, found.revises.epic) == (SPLIT, "api")
    await scheduler.api.ApplyPlan(applied(run, found.plan, revision=found.revision))
    release.set()
    assert (await scheduler.finished(run))[-1].run_finished.tasks_accepted == 5
    assert (
        await reason_of(
            scheduler.api.DraftPlan(
                pb.DraftPlanRequest(
                    agent="command:x", revises=pb.PlanRevision(kind=SPLIT, run=run, epic="api")
                )
            )
        )
        == pb.ERROR_REASON_WRONG_STATE
    )


async def test_an_epic_of_a_plan_file_is_split(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The difference is that to the given plan; nothing is applied, and remarks on unchanged parts are left out."""
    given = shop()
    del given.defaults.checks[:]
    split = pb.Plan()
    split.CopyFrom(given)
    split.epics.add(key="more", touches=["more/**"], tasks=[split.epics[0].tasks.pop()])
    worker.play = agent = Agent(said(split), said(split))
    _, found = await revised(scheduler, SPLIT, epic="api", plan=given)
    assert writing.text_of(given) in agent.prompts[0]
    assert "has no check" in agent.prompts[1]
    assert [each.message for each in found.warnings] == [
        "task more/three has no check, so nothing tells whether it is done"
    ]
    assert [(each.epic, each.task) for each in found.difference.changes] == [("api", "three"), ("more", "")]
    assert (found.revision, found.skip_failed_of, found.revises.HasField("plan")) == (0, "", False)


async def test_a_run_that_changes_meanwhile(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A change while the agent works goes back to it with the new plan; one after that is ABORTED and says what changed."""
    run, _ = await failed_run(worker, scheduler, shop())
    mine = with_task(shop(), "docs", "mine")

    async def late() -> str:
        await scheduler.api.ApplyPlan(applied(run, mine))
        return said(with_task(shop(), "api", "four"))

    worker.play = agent = Agent(late, said(with_task(mine, "api", "four")))
    _, found = await revised(scheduler, REST, run)
    assert "user:ada changed it (task docs/mine added)" in agent.prompts[1]
    assert (
        f"This is the plan now. Make your change to it again:\n\n````yaml\n{writing.text_of(mine)}"
        in agent.prompts[1]
    )
    assert (found.revision, found.handovers) == (2, 2)
    await scheduler.api.ApplyPlan(applied(run, with_task(mine, "docs", "again")))
    asked = applied(run, found.plan, revision=found.revision, skip_failed_of=found.skip_failed_of)
    error = await error_of(scheduler.api.ApplyPlan(asked))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, pb.ERROR_REASON_PLAN_CHANGED)
    assert "task docs/again added" in error.message


@pytest.mark.parametrize("dies", [False, True])
async def test_an_agent_that_proposes_nothing(worker: FakeWorker, scheduler: Scheduler, dies: bool) -> None:
    """One that declines is asked once more, one that dies is tried again; then the draft fails, and the run is as it was."""
    run, _ = await failed_run(worker, scheduler, shop())
    before = await scheduler.run(run)

    async def crash(_session: FakeSession) -> pb.SessionFinished:
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="the agent ended with exit code 137")

    worker.play = agent = Agent(*["The check itself is broken.\nFix it first."] * 4)
    if dies:
        worker.play = crash
    name, found = await revised(scheduler, REST, run, rounds=2)
    task = (await scheduler.tasks(name))["draft/plan"]
    assert (await scheduler.run(name)).state == pb.RUN_STATE_FAILED
    if dies:
        assert task.attempt_count == 3
        assert (found.attempt, found.revises.run) == ("", run)
    else:
        assert task.attempt_count == 2, "it was asked once more"
        assert "or, if nothing should change, say so once more" in agent.prompts[1]
        assert task.reason == "the agent proposes no change: The check itself is broken."
        assert not found.HasField("plan")
        assert found.reasons.startswith("The check itself is broken.")
    assert await scheduler.run(run) == before


async def test_what_cannot_be_revised(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Each request that makes no sense names its field, its run, or the state that is in the way."""
    worker.play = Agent()
    run = await scheduler.create(shop())
    await scheduler.finished(run)
    project = "/repository"
    other = pb.PlanRevision(kind=SPLIT, epic="api", plan=pb.Plan(epics=[pb.PlanEpic(key="api")]))
    for revises, asked, reason in (
        (pb.PlanRevision(kind=REST, run=run), "", pb.ERROR_REASON_WRONG_STATE),
        (pb.PlanRevision(kind=REST, run=run, epic="none"), "", pb.ERROR_REASON_NOT_FOUND),
        (pb.PlanRevision(kind=REST, run="runs/none"), "", pb.ERROR_REASON_NOT_FOUND),
        (pb.PlanRevision(kind=REST, run=run), project, pb.ERROR_REASON_INVALID_FIELD),
        (pb.PlanRevision(kind=REST, plan=shop()), project, pb.ERROR_REASON_INVALID_FIELD),
        (pb.PlanRevision(kind=SPLIT, run=run), "", pb.ERROR_REASON_INVALID_FIELD),
        (pb.PlanRevision(kind=SPLIT, run=run, plan=shop(), epic="api"), "", pb.ERROR_REASON_INVALID_FIELD),
        (pb.PlanRevision(kind=SPLIT, plan=shop(), epic="none"), project, pb.ERROR_REASON_INVALID_FIELD),
        (other, project, pb.ERROR_REASON_INVALID_PLAN),
        (pb.PlanRevision(run=run), "", pb.ERROR_REASON_INVALID_FIELD),
    ):
        request = pb.DraftPlanRequest(agent="command:x", revises=revises, project=asked)
        assert await reason_of(scheduler.api.DraftPlan(request)) == reason, revises
    huge = shop()
    huge.epics[0].tasks[0].prompt = "x" * 199_000
    request = pb.DraftPlanRequest(
        agent="command:x", project=project, revises=pb.PlanRevision(kind=SPLIT, plan=huge, epic="api")
    )
    assert "200,000 are allowed" in (await error_of(scheduler.api.DraftPlan(request))).message


async def test_a_goal_is_only_told_in_its_own_project(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A plan that was drafted for another repository, or is said to come from an ordinary run, has no known goal."""
    worker.play = Agent(said(shop()))
    asked = pb.DraftPlanRequest(goal="A secret of others", agent="command:p", project="/other")
    draft = (await scheduler.api.DraftPlan(asked)).run
    await scheduler.finished(draft.name)
    run, _ = await failed_run(worker, scheduler, shop(), draft=draft.name)
    worker.play = agent = Agent("No.", "No.")
    await revised(scheduler, REST, run)
    assert "A secret of others" not in agent.prompts[0]
    assert (await scheduler.run(await scheduler.create(shop(), draft=run))).name
