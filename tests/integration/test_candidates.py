"""Candidates of tasks, from plan to merge, with real services, git and processes."""

import asyncio
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

# It works as the key of its epic and its number say.
AGENT = """
cat > /dev/null
echo "$HEDDLE_EPIC $HEDDLE_TASK $HEDDLE_CANDIDATE $HEDDLE_ATTEMPT" >> $HEDDLE_EPIC.txt
case $HEDDLE_EPIC$HEDDLE_CANDIDATE in
  scored1) echo 5 > $HEDDLE_EPIC.score ;;
  scored2) echo 70.5 > $HEDDLE_EPIC.score ;;
  scored3) echo -9 > $HEDDLE_EPIC.score ;;
  numberless1) echo 1 > $HEDDLE_EPIC.score ;;
  numberless2) echo no number > $HEDDLE_EPIC.score ;;
  only1|none1|none2) touch broken ;;
  slow1) ;;
  slow2) sleep 600 ;;
esac
"""


def make_plan(*keys: str, count: int = 2) -> pb.Plan:
    """Returns a plan with one epic for each key, with a task for candidates and one after it."""
    epics = [
        pb.PlanEpic(
            key=key,
            tasks=[
                pb.PlanTask(key="t", prompt="Do it", candidates=[pb.PlanCandidate()] * count),
                pb.PlanTask(key="after", prompt="Go on"),
            ],
        )
        for key in keys
    ]
    for epic in epics:
        if epic.key in {"scored", "numberless"}:
            epic.tasks[0].score = "echo scoring; cat $HEDDLE_EPIC.score"
    return pb.Plan(
        name="Candidates",
        defaults=pb.TaskDefaults(
            agent="command:sh .agent", checks=[pb.Check(name="c", run="test ! -e broken")]
        ),
        epics=epics,
    )


async def tasks_of(client: HeddleClient, run: str) -> dict[str, pb.Task]:
    found = await client.list_tasks(f"{run}/epics/-")
    return {"/".join(task.name.split("/")[3::2]): task for task in found}


def state(task: pb.Task) -> str:
    return pb.TaskState.Name(task.state).removeprefix("TASK_STATE_").lower()


async def ready(client: HeddleClient, run: str, task: str, wanted: str) -> pb.Task:
    """Waits until a task is in a state; returns it."""
    async with asyncio.timeout(60):
        async for _ in client.watch_run(run):
            found = (await tasks_of(client, run)).get(task)
            if found is not None and state(found) == wanted:
                return found
    raise AssertionError(f"the run has ended, and {task} was never {wanted}")


@pytest.mark.timeout(180)
async def test_checks_then_scores_decide(tmp_path: Path) -> None:
    """The best of those that pass is accepted as it was checked; if none passes, the task's retries decide."""
    keys = ("scored", "only", "none", "numberless")
    project = make_repository(tmp_path / "project", {".agent": AGENT, "scored.txt": "old\n"})
    plan = make_plan(*keys)
    plan.epics[0].tasks[0].candidates.add()
    plan.epics[0].tasks[0].needs.append("only/t")
    plan.epics[2].tasks[0].retries = 1
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        tasks = await tasks_of(client, run.name)
        run = await client.get_run(run.name)
        worktrees = await client.list_epic_worktrees(run.name)
        lost = await client.get_diff(tasks["scored/t@1"].latest_attempt.name)

    assert {key: state(task) for key, task in tasks.items() if not key.endswith("after")} == {
        "scored/t": "accepted",
        "scored/t@1": "passed",
        "scored/t@2": "accepted",
        "scored/t@3": "passed",
        "only/t": "accepted",
        "only/t@1": "failed",
        "only/t@2": "accepted",
        "none/t": "failed",
        "none/t@1": "failed",
        "none/t@2": "failed",
        "numberless/t": "accepted",
        "numberless/t@1": "accepted",
        "numberless/t@2": "failed",
    }
    # Candidates count as one task.
    assert (run.tasks.total, run.tasks.accepted, run.tasks.failed) == (8, 7, 1)
    best = tasks["scored/t"]
    assert (best.candidates, best.chosen_candidate) == (3, 2)
    assert [tasks[f"scored/t@{number}"].score for number in (1, 2, 3)] == [5, 70.5, -9]
    assert best.latest_attempt.takes_over == tasks["scored/t@2"].latest_attempt.name
    assert best.commit == tasks["scored/t@2"].commit == best.latest_attempt.commit
    assert [check.name for check in best.latest_attempt.checks] == ["c", "score"]
    assert git(project, "show", f"{best.commit}:scored.txt").splitlines()[-1] == "scored t 2 1"
    assert git(project, "log", "-1", "--format=%P", best.commit) == git(
        project, "log", "-1", "--format=%P", tasks["scored/t@1"].commit
    )
    after = git(project, "show", f"{tasks['scored/after'].commit}:scored.txt").splitlines()
    assert after[-2:] == ["scored t 2 1", "scored after  1"]
    # The loser's work, log and cost are kept.
    loser = tasks["scored/t@1"].latest_attempt
    assert (loser.state, loser.reason) == (pb.ATTEMPT_STATE_NOT_CHOSEN, "candidate 2 was chosen")
    assert "+scored t 1 1" in lost.text
    assert git(project, "show", f"{loser.kept_ref}:scored.txt").splitlines()[-1] == "scored t 1 1"
    assert "t@2" not in git(project, "branch", "--list", "--format=%(refname)")

    assert tasks["none/t@1"].attempt_count == 2
    assert "none of its 2 candidates passed; the first: " in tasks["none/t"].reason
    assert "must print a number as its last line, but the last line" in tasks["numberless/t@2"].reason
    chosen = {event.epic: event.candidate_chosen for event in events if event.HasField("candidate_chosen")}
    assert {key: (each.candidate, each.reason) for key, each in chosen.items()} == {
        "scored": (2, "its score is the highest: 70.5"),
        "only": (2, "it is the only one whose checks passed"),
        "numberless": (1, "it is the only one whose checks passed"),
    }
    accepted = [(each.epic, each.task) for each in events if each.HasField("task_accepted")]
    assert len(accepted) == len(set(accepted)) == 7
    # The worktrees of candidates go with that of their epic, which stays after a failure.
    assert {each.name.split("/")[3] for each in worktrees if each.path} == {"none"}
    left = (tmp_path / "home" / "worktrees").glob("*/*@*")
    assert {path.name for path in left if not path.suffix} == {"none@1", "none@2"}


@pytest.mark.timeout(180)
async def test_a_person_chooses(tmp_path: Path) -> None:
    """With several that pass and no score, the run waits; a choice while others run stops them first."""
    project = make_repository(tmp_path / "project", {".agent": AGENT, "scored.txt": "old\n"})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(
            pb.CreateRunRequest(plan=make_plan("asks", "slow"), project=str(project))
        )
        waiting = await ready(client, run.name, "asks/t", "waiting")
        assert waiting.reason == "candidates 1 and 2 passed: choose one"
        await ready(client, run.name, "slow/t@1", "passed")
        slow = f"{run.name}/epics/slow/tasks/t"
        for candidate, reason in ((2, pb.ERROR_REASON_WRONG_STATE), (3, pb.ERROR_REASON_NOT_FOUND)):
            with pytest.raises(HeddleError) as raised:
                await client.choose_candidate(slow, candidate)
            assert raised.value.reason == reason
        with pytest.raises(HeddleError, match="name the task itself"):
            await client.skip_task(f"{slow}@1")
        await client.choose_candidate(slow, 1)
        await client.choose_candidate(waiting.name, 2)
        await client.choose_candidate(waiting.name, 2)
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        tasks = await tasks_of(client, run.name)
        run = await client.get_run(run.name)
        with pytest.raises(HeddleError, match="candidate 2 is accepted"):
            await client.choose_candidate(waiting.name, 1)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert {key: state(task) for key, task in tasks.items() if "@" in key} == {
        "asks/t@1": "passed",
        "asks/t@2": "accepted",
        "slow/t@1": "accepted",
        "slow/t@2": "failed",
    }
    stopped = tasks["slow/t@2"].latest_attempt
    assert (stopped.state, stopped.reason) == (pb.ATTEMPT_STATE_STOPPED, "candidate 1 was chosen")
    actors = {event.epic: event.actor for event in events if event.HasField("candidate_chosen")}
    assert set(actors) == {"asks", "slow"}
    assert all(actor.startswith("user") for actor in actors.values())


# As a reviewer, it rejects the first candidate; as the one that compares, it answers as its epic says, and counts the
# changes in its prompt.
JUDGE = r"""
count=$(grep -c "^+$HEDDLE_EPIC t [12] 1")
case $HEDDLE_EPIC$HEDDLE_CANDIDATE in
  reviewed1) echo '{"findings": [{"severity": "error", "text": "too short"}]}' ;;
  reviewed2) echo '{"findings": []}' ;;
  compared) echo "{\"best\": 2, \"reason\": \"I saw $count changes of $HEDDLE_CANDIDATES\"}" ;;
  vague) echo '{"best": 7, "reason": "a hunch"}' ;;
esac
"""


@pytest.mark.timeout(180)
async def test_reviews_and_an_agent_decide(tmp_path: Path) -> None:
    """Only candidates whose reviews pass can be chosen; an agent sees all of them, and without its answer the score decides."""
    project = make_repository(tmp_path / "project", {".agent": AGENT, ".judge": JUDGE})
    judge = "command:sh .judge"
    plan = make_plan("reviewed", "compared", "vague")
    reviewed, compared, vague = (epic.tasks[0] for epic in plan.epics)
    reviewed.reviews.add(agent=judge, rounds=1)
    compared.choose.agent = vague.choose.agent = judge
    vague.score = "echo $HEDDLE_CANDIDATE"
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        tasks = await tasks_of(client, run.name)
        attempts = {
            key: await client.list_attempts(tasks[key].name)
            for key in ("reviewed/t@1", "compared/t", "vague/t")
        }
        run = await client.get_run(run.name)

    assert run.state == pb.RUN_STATE_SUCCEEDED, run.reason
    assert state(tasks["reviewed/t@1"]) == "failed"
    assert "too short" in tasks["reviewed/t@1"].reason
    assert [pb.AttemptState.Name(each.state)[14:] for each in attempts["reviewed/t@1"]] == [
        "FAILED",
        "REVIEWED",
    ]
    chosen = {event.epic: event for event in events if event.HasField("candidate_chosen")}
    told = {key: event.candidate_chosen for key, event in chosen.items()}
    assert told == {
        "reviewed": pb.CandidateChosen(candidate=2, reason="it is the only one whose checks passed"),
        "compared": pb.CandidateChosen(candidate=2, reason="I saw 2 changes of 1 2", agent=judge),
        "vague": pb.CandidateChosen(candidate=2, reason="its score is the highest: 2"),
    }
    assert all(tasks[f"{key}/t"].commit == tasks[f"{key}/t@2"].commit for key in told)
    # The comparison is an attempt with a session of its own; the next one takes over the work.
    first, second = attempts["compared/t"]
    assert (first.state, first.agent, first.review.comparison.best) == (pb.ATTEMPT_STATE_REVIEWED, judge, 2)
    assert second.takes_over == tasks["compared/t@2"].latest_attempt.name
    # It was asked once more.
    assert [each.review.comparison.best for each in attempts["vague/t"]] == [0, 0, 0]
    assert '"best" must be 1 or 2, not' in attempts["vague/t"][1].reason
    assert attempts["vague/t"][2].takes_over
