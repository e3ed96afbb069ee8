"""The prompt of a retry."""

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan


async def test_retry_is_told_what_failed(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The next attempt's prompt ends with the failed checks; a script gets its prompt unchanged."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.number > 1:
            return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
        session.emit(check_finished=pb.CheckFinished(name="unit", command="make unit", output="1 failed\n"))
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="check 'unit' failed")

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"]}, retries=1)
    plan.epics[0].tasks[0].agent = "command:make it"
    run = await scheduler.create(plan)
    await scheduler.finished(run)
    prompts = {request.attempt: request.prompt for request in worker.called("StartSession")}
    assert prompts[f"{run}/epics/a/tasks/one/attempts/1"] == "Do one"
    told = prompts[f"{run}/epics/a/tasks/one/attempts/2"]
    assert told.startswith("Do one\n\n---\n[Heddle] Attempt 1 of this task failed: check 'unit' failed.")
    assert "    1 failed\n" in told
    assert prompts[f"{run}/epics/b/tasks/one/attempts/2"] == "Do one"
