"""Reviews whose scheduler ends between two steps, and their place among other tasks."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Step, make_plan, scheduling_after

ERROR = '{"findings": [{"severity": "error", "text": "no"}]}'
NOTHING = '{"findings": []}'


async def play(session: FakeSession) -> pb.SessionFinished:
    """Works, or rejects the first work and passes the second; each session costs a cent."""
    session.emit(usage=pb.Usage(model="m", output_tokens=1, cost_usd_micros=10_000))
    if session.request.agent == "command:review":
        said = ERROR if session.name.number == 2 else NOTHING
        session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=said))
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def reviewed_plan() -> pb.Plan:
    plan = make_plan({"a": ["one", "two"]})
    plan.epics[0].tasks[0].agent = "command:work"
    plan.epics[0].tasks[0].reviews.add(agent="command:review")
    return plan


STEPS: dict[str, Step] = {
    "the work is submitted": ("CommitTask", lambda asked: asked.submit),
    "the reviewer gets its worktree": (
        "EnsureWorktree",
        lambda asked: asked.attempt.endswith("/attempts/2"),
    ),
    "the reviewer starts": ("StartSession", lambda asked: asked.attempt.endswith("/attempts/2")),
    "the worker starts again": ("StartSession", lambda asked: asked.attempt.endswith("/attempts/3")),
    "the work is accepted": ("CommitTask", lambda asked: bool(asked.submitted_commit)),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_review_survives_the_end_of_its_scheduler(tmp_path: Path, step: str) -> None:
    """If the scheduler ends before any step, the next one completes the run with the same result and costs."""
    worker = FakeWorker()
    worker.play = play
    async with scheduling_after(STEPS[step], worker, reviewed_plan(), tmp_path) as (second, run):
        await second.finished(run)
        ended, tasks = await second.run(run), await second.tasks(run)
        listed = await second.api.ListAttempts(pb.ListAttemptsRequest(parent=tasks["a/one"].name))

    assert ended.state == pb.RUN_STATE_SUCCEEDED
    assert [pb.AttemptState.Name(each.state).rpartition("_")[2] for each in listed.attempts] == [
        "FAILED",
        "REVIEWED",
        "ACCEPTED",
        "REVIEWED",
    ]
    assert tasks["a/one"].attempt_count == 4
    assert tasks["a/one"].latest_attempt.name.endswith("/attempts/3")
    assert [attempt for _, attempt in worker.commits["heddle/" + run.split("/")[1] + "/epics/a"]] == [
        f"{run}/epics/a/tasks/one/attempts/3",
        f"{run}/epics/a/tasks/two/attempts/1",
    ]
    # Reviews count: two of the worker, two of the reviewer, one of the other task.
    assert ended.usage.cost_usd_micros == 50_000
    rework = [each for each in worker.called("StartSession") if each.attempt.endswith("one/attempts/3")][-1]
    assert rework.resume_attempt.endswith("/attempts/1")
    assert "- no\n" in rework.prompt
    reviewer = [each for each in worker.called("StartSession") if each.attempt.endswith("one/attempts/2")][-1]
    assert reviewer.agent == "command:review"
    assert "diff " in reviewer.prompt
    assert not reviewer.checks
