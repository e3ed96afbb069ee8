"""A failure in one part of a run does not affect the others."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.outcomes import attempt_outcomes
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake


def finishing(outcome: "pb.Outcome.ValueType", reason: str = "") -> pb.SessionFinished:
    return pb.SessionFinished(outcome=outcome, reason=reason)


async def test_failing_task_leaves_others_running(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A task that fails for good affects neither the rest of its epic nor other epics."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        failed = (session.name.epic, session.name.task) == ("a", "one")
        return finishing(pb.OUTCOME_FAILED, "exit code 3") if failed else finishing(pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one", "two"]}, retries=1))

    events = await scheduler.finished(run)

    failures = [event.task_failed for event in events if event.HasField("task_failed")]
    assert [each.will_retry for each in failures] == [True, False]
    assert {each.reason for each in failures} == {"exit code 3"}
    assert failures[0].kept_ref.endswith("/a/one/1")
    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].attempt_count == 2
    assert tasks["a/one"].reason == "exit code 3"
    assert [task.state for task in tasks.values()].count(pb.TASK_STATE_ACCEPTED) == 3
    epics = await scheduler.epics(run)
    assert epics["a"].state == pb.EPIC_STATE_FAILED
    assert epics["b"].state == pb.EPIC_STATE_SUCCEEDED
    assert len(next(iter(worker.merged.values()))) == 2  # accepted work is still merged
    ended = await scheduler.run(run)
    assert ended.state == pb.RUN_STATE_FAILED
    assert ended.reason == "1 of 2 epics failed (a)"


async def test_exception_in_one_conductor_leaves_others_running(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception while an attempt is conducted fails only that attempt, with a readable reason."""
    real = attempt_outcomes.accept_all

    def broken(connection: Any, accepted: Any) -> Any:
        if any(each.attempt.epic == "a" for each in accepted):
            raise ZeroDivisionError("no such thing")
        return real(connection, accepted)

    monkeypatch.setattr(attempt_outcomes, "accept_all", broken)
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one", "two"]}))

    await scheduler.finished(run)

    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].state == pb.TASK_STATE_FAILED
    assert "ZeroDivisionError: no such thing" in tasks["a/one"].reason
    assert tasks["b/two"].state == pb.TASK_STATE_ACCEPTED
    assert (await scheduler.epics(run))["b"].state == pb.EPIC_STATE_SUCCEEDED


async def test_worker_error_fails_the_attempt_with_its_words(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """An error that a worker reports becomes the attempt's reason; the next task runs."""

    def before(method: str, request: Any) -> None:
        if method == "EnsureWorktree" and "/tasks/one/" in request.attempt:
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, "git failed: no such object")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))

    await scheduler.finished(run)

    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].reason == "git failed: no such object"
    assert tasks["a/two"].state == pb.TASK_STATE_ACCEPTED


async def test_lost_session_gets_a_new_attempt(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An attempt whose session died with its worker is lost; the task gets another without using a retry."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.number == 1:
            return finishing(pb.OUTCOME_LOST, "agent_svc was killed")
        return finishing(pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"]}))

    await scheduler.finished(run)

    answer = await scheduler.api.ListAttempts(pb.ListAttemptsRequest(parent=f"{run}/epics/a/tasks/one"))
    assert [each.state for each in answer.attempts] == [pb.ATTEMPT_STATE_LOST, pb.ATTEMPT_STATE_ACCEPTED]
    first, second = (session.request for session in worker.sessions.values())
    assert (first.resume_attempt, second.resume_attempt) == ("", first.attempt)


@pytest.mark.parametrize(("agent", "goes_on"), [("", True), ("command:other", False)], ids=["same", "other"])
async def test_lost_session_goes_on_only_with_its_own_agent(
    worker: FakeWorker, scheduler: Scheduler, agent: str, goes_on: bool
) -> None:
    """A lost session is resumed only by the same agent; with another agent, the task starts from scratch."""
    lose = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.number == 1:
            await lose.wait()
            return finishing(pb.OUTCOME_LOST)
        return finishing(pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}))
    await scheduler.until(run, lambda event: event.HasField("session_started"))
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    lose.set()
    await scheduler.until(run, lambda event: event.epic == "a" and event.HasField("task_failed"))
    task = f"{run}/epics/a/tasks/one"
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=task))
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=task, agent=agent))
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    await scheduler.finished(run)
    (second,) = (each for each in worker.called("StartSession") if each.attempt == f"{task}/attempts/2")
    assert second.resume_attempt == (f"{task}/attempts/1" if goes_on else "")


async def test_failed_session_begins_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The attempt after a failed one does not resume its session."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        return finishing(pb.OUTCOME_FAILED if session.name.number == 1 else pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"]})
    plan.defaults.retries = 1
    run = await scheduler.create(plan)

    await scheduler.finished(run)

    assert [session.request.resume_attempt for session in worker.sessions.values()] == ["", ""]


async def test_sessions_get_what_the_plan_says_of_them(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The worker receives the permissions of all levels, the model and the turn limit."""
    plan = make_plan({"a": ["one"]})
    plan.defaults.permissions.allow.append("Read")
    plan.epics[0].permissions.deny.append("WebFetch")
    task = plan.epics[0].tasks[0]
    task.permissions.default = pb.PERMISSION_DECISION_DENY
    task.model, task.max_turns = "small", 7
    run = await scheduler.create(plan)

    await scheduler.finished(run)

    (session,) = worker.sessions.values()
    expected = pb.Permissions(default=pb.PERMISSION_DECISION_DENY, allow=["Read"], deny=["WebFetch"])
    assert session.request.permissions == expected
    assert (session.request.model, session.request.max_turns) == ("small", 7)


async def test_conflicting_epic_is_reported_with_its_files(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A conflicting merge changes nothing and names the files; the other epics are merged."""
    plan = make_plan({"a": ["one"], "b": ["one"]})

    def before(method: str, request: Any) -> None:
        if method == "MergeBranch" and request.source_branch.endswith("/a"):
            worker.conflicting.add(request.source_branch)

    worker.before = before
    run = await scheduler.create(plan)

    events = await scheduler.finished(run)

    epic = (await scheduler.epics(run))["a"]
    assert epic.state == pb.EPIC_STATE_CONFLICTED
    assert list(epic.conflict_files) == ["shared.txt"]
    assert [event.epic for event in events if event.HasField("merge_conflicted")] == ["a"]
    assert (await scheduler.epics(run))["b"].state == pb.EPIC_STATE_SUCCEEDED


async def test_worktrees_are_removed_before_the_run_ends(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Worktrees are removed before run_finished, the last event; one that cannot be removed blocks nothing."""

    def before(method: str, request: Any) -> None:
        if method == "RemoveWorktree" and request.epic.endswith("/a"):
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, "locked")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}))

    events = await scheduler.finished(run)

    assert [event.epic for event in events if event.HasField("worktree_removed")] == ["b"]
    assert list(worker.worktrees) == [f"{run}/epics/a"]
    assert events[-1].HasField("run_finished")
    assert (await scheduler.run(run)).sequence == events[-1].sequence


async def test_worker_that_goes_away_is_reported_and_waited_for(tmp_path: Path) -> None:
    """An attempt waits while its worker is away; the run's log has the worker's loss and its return."""
    worker = FakeWorker()
    holding = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await holding.wait()
        return finishing(pb.OUTCOME_SUCCEEDED)

    worker.play = play
    async with serving_fake(worker) as address:
        pass
    async with scheduling(address, tmp_path) as scheduler:
        async with serving_fake(worker, address):

            async def connected() -> bool:
                return (await scheduler.worker()).connected

            await eventually(connected)
            run = await scheduler.create(make_plan({"a": ["one"]}))
            await scheduler.until(run, lambda event: event.HasField("session_started"))
        lost = await scheduler.until(run, lambda event: event.HasField("worker_lost"))
        assert lost[-1].worker_lost.worker == "local"
        # The worker lost its memory: it does not know the session, so the session is lost and tried again.
        worker.sessions.clear()
        holding.set()
        async with serving_fake(worker, address):
            events = await scheduler.finished(run)
    kinds = [event.WhichOneof("payload") for event in events]
    assert "worker_joined" in kinds
    assert kinds.count("task_started") == 2
    assert kinds.count("task_accepted") == 1


async def test_a_full_worker_gets_no_new_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker's disk is full, nothing starts and no attempt is used; then work continues."""
    # Otherwise each change of the worker would be noticed after seconds.
    monkeypatch.setattr("scheduler_svc.pools.worker.POLL_INTERVAL", 0.05)
    worker = FakeWorker(full="the disk is full: make room")
    async with serving_fake(worker) as address, scheduling(address, tmp_path) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}))
        # The log starts with the reason why nothing else happens.
        events = await scheduler.until(run, lambda event: event.HasField("worker_full"))
        assert events[-1].worker_full.reason == "the disk is full: make room"
        worker.full = ""
        events = await scheduler.finished(run)
        kinds = [event.WhichOneof("payload") for event in events]
        assert kinds.index("worker_full") < kinds.index("worker_joined") < kinds.index("task_started")
        assert kinds.count("task_started") == 1
        # A running session continues, and the run says why no other one starts.
        holding = asyncio.Event()

        async def play(_session: FakeSession) -> pb.SessionFinished:
            await holding.wait()
            return finishing(pb.OUTCOME_SUCCEEDED)

        worker.play = play
        run = await scheduler.create(make_plan({"a": ["one", "two"]}))
        await scheduler.until(run, lambda event: event.HasField("session_started"))
        worker.full = "the disk is full: make room"
        events = await scheduler.until(run, lambda event: event.HasField("worker_full"))
        assert events[-1].worker_full.reason == "the disk is full: make room"
        holding.set()
        events = await scheduler.until(run, lambda event: event.HasField("task_accepted"))
        assert [event.WhichOneof("payload") for event in events].count("task_started") == 1
        worker.full = ""
        assert (await scheduler.finished(run))[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
