"""Reviews of tasks by other agents, from plan to merge, with real services, git and processes."""

import asyncio
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

# The worker writes what it was told. With the session's first attempt it writes `first`.
AGENT = """
cat > told.txt
echo "$HEDDLE_EPIC $HEDDLE_ATTEMPT" >> work.txt
echo new > new.txt
"""

# The reviewer, by the key of its epic. It also tries to change the work.
REVIEWER = r"""
cat > /dev/null
echo spoiled > work.txt
finding() { echo "{\"findings\": [{\"file\": \"work.txt\", \"line\": 1, \"severity\": \"$1\", \"text\": \"$2\"}]}"; }
case $HEDDLE_EPIC in
  passes) echo looking; finding warning "could be shorter" ;;
  once)
    case $HEDDLE_ATTEMPT in
      2) git diff --exit-code $HEDDLE_REVIEW_BASE $HEDDLE_REVIEW_COMMIT -- new.txt > /dev/null && exit 9; finding error "it is wrong" ;;
      *) echo '{"findings": [], "summary": "fine now"}' ;;
    esac ;;
  never) finding error "still wrong" ;;
  unreadable) echo "looks good to me" ;;
  garbled) test $HEDDLE_ATTEMPT = 2 && echo "hm" || echo '```json'; echo '{"findings": []}'; echo '```' ;;
  shown) finding error "only shown" ;;
  slow) sleep 600 ;;
esac
"""


def make_plan(*epics: str) -> pb.Plan:
    """Returns a plan whose epics have one task each, reviewed as the epic's key says."""
    return pb.Plan(
        name="Reviews",
        defaults=pb.TaskDefaults(
            agent="command:sh .agent", checks=[pb.Check(name="c", run="test -f work.txt")]
        ),
        epics=[
            pb.PlanEpic(
                key=key,
                tasks=[pb.PlanTask(key="t", prompt=f"Do {key}")],
                reviews=[pb.PlanReview(agent="command:sh .review", blocking=key != "shown")],
            )
            for key in epics
        ],
    )


async def attempts_of(client: HeddleClient, task: pb.Task) -> list[pb.Attempt]:
    return sorted(await client.list_attempts(task.name), key=lambda each: int(each.name.rpartition("/")[2]))


def states(attempts: list[pb.Attempt]) -> list[str]:
    return [pb.AttemptState.Name(each.state).removeprefix("ATTEMPT_STATE_").lower() for each in attempts]


@pytest.mark.timeout(180)
async def test_reviewers_decide_about_what_the_checks_passed(tmp_path: Path) -> None:
    """Approved work is accepted as it was checked; errors go back to the agent; endless or unreadable ones fail."""
    keys = ("passes", "once", "never", "unreadable", "garbled", "shown")
    files = {".agent": AGENT, ".review": REVIEWER, "work.txt": "old\n"}
    project = make_repository(tmp_path / "project", files)
    plan = make_plan(*keys)
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        tasks = {task.name.split("/")[3]: task for task in await client.list_tasks(f"{run.name}/epics/-")}
        attempts = {key: await attempts_of(client, tasks[key]) for key in keys}

    assert {key: states(attempts[key]) for key in keys} == {
        "passes": ["accepted", "reviewed"],
        "once": ["failed", "reviewed", "accepted", "reviewed"],
        "never": ["failed", "reviewed", "failed", "reviewed"],
        "unreadable": ["stopped", "failed", "failed"],
        "garbled": ["accepted", "failed", "reviewed"],
        "shown": ["accepted", "reviewed"],
    }
    failed = {key for key in keys if tasks[key].state == pb.TASK_STATE_FAILED}
    assert failed == {"never", "unreadable"}
    # The accepted work is the attempt's, and the task shows that attempt.
    accepted = tasks["passes"]
    assert accepted.latest_attempt.name.endswith("/attempts/1")
    assert accepted.commit == accepted.latest_attempt.commit
    assert git(project, "show", f"{accepted.commit}:work.txt") == "old\npasses 1"
    assert git(project, "show", f"{tasks['once'].commit}:work.txt") == "old\nonce 1\nonce 3"
    assert "work.txt:1: it is wrong" in git(project, "show", f"{tasks['once'].commit}:told.txt")
    [finding] = attempts["passes"][1].review.findings
    assert (finding.file, finding.line, finding.severity, finding.text) == (
        "work.txt",
        1,
        pb.REVIEW_SEVERITY_WARNING,
        "could be shorter",
    )
    rounds = [
        (each.review.round, each.review.rounds) for each in attempts["never"] if each.HasField("review")
    ]
    assert rounds == [(1, 2), (2, 2)]
    assert "found 1 error (round 2 of 2): still wrong" in tasks["never"].reason
    assert "gave no usable answer" in tasks["unreadable"].reason
    assert "is not JSON" in tasks["unreadable"].reason
    assert attempts["once"][3].review.summary == "fine now"
    verdicts = [
        (event.epic, event.review_finished.rejected) for event in events if event.HasField("review_finished")
    ]
    assert sorted(verdicts) == [
        ("garbled", False),
        ("never", True),
        ("never", True),
        ("once", False),
        ("once", True),
        ("passes", False),
        ("shown", False),
    ]


@pytest.mark.timeout(120)
async def test_a_review_is_cancelled_with_its_run(tmp_path: Path) -> None:
    """The reviewer's session ends, and neither the reviewed work nor its task is accepted."""
    project = make_repository(tmp_path / "project", {".agent": AGENT, ".review": REVIEWER})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=make_plan("slow"), project=str(project)))
        async for response in client.watch_run(run.name):
            if any(event.HasField("session_started") and event.attempt == 2 for event in response.events):
                break
        await client.cancel_run(run.name)
        async with asyncio.timeout(60):
            async for _ in client.watch_run(run.name):
                pass
        [task] = await client.list_tasks(f"{run.name}/epics/slow")
        attempts = await attempts_of(client, task)
    assert task.state == pb.TASK_STATE_FAILED
    assert states(attempts) == ["stopped", "stopped"]
    assert attempts[0].kept_ref
    assert not task.commit
