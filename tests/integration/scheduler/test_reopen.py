"""An epic that is reopened between two of its steps."""

from pathlib import Path

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import Action, FinishEpic
from scheduler_svc.policy.snapshot import Snapshot
from tests.support.scheduler import make_plan, scheduling, serving_fake


async def test_task_retried_between_merge_and_end_is_merged_too(tmp_path: Path) -> None:
    """If a task is retried after its epic was merged but before the epic ended, the epic is merged again."""
    worker = FakeWorker()
    holds = True

    async def play(session: FakeSession) -> pb.SessionFinished:
        fails = session.request.attempt.endswith("two/attempts/1")
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED if fails else pb.OUTCOME_SUCCEEDED)

    def decide(snapshot: Snapshot) -> list[Action]:
        return [each for each in decision.decide(snapshot) if not (holds and isinstance(each, FinishEpic))]

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, decide=decide) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one", "two"]}))
        await scheduler.until(run, lambda event: event.HasField("merge_finished"))
        await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/two"))
        holds = False
        events = await scheduler.finished(run)
        ended = await scheduler.run(run)

    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds.count("merge_finished") == 2
    assert kinds.index("merge_finished", kinds.index("merge_finished") + 1) > max(
        place for place, kind in enumerate(kinds) if kind == "task_accepted"
    )
    assert ended.state == pb.RUN_STATE_SUCCEEDED
