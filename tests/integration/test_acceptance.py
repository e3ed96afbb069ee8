"""What is accepted, marked, named and refused, from plan to events, with real services, git and processes."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

# What each agent does, by the key of its task.
AGENT = """
case $HEDDLE_TASK in
  generate) test -f config.generated || exit 3; test $HEDDLE_ATTEMPT = 2 ;;
  review) ;;
  ignore) mkdir lib; echo u > lib/u; echo 'cat lib/u' > run.sh ;;
  work) if [ $HEDDLE_ATTEMPT -gt 1 ]; then printf '%s' "$HEDDLE_PROMPT" > told.txt; fi ;;
esac
"""


def make_plan() -> pb.Plan:
    tasks = [
        pb.PlanTask(key="generate", prompt="Use what setup made", retries=1),
        pb.PlanTask(key="review", prompt="Look at it"),
        pb.PlanTask(key="ignore", prompt="Write", checks=[pb.Check(name="run", run="sh run.sh")]),
        pb.PlanTask(key="work", prompt="Work", expect=pb.EXPECT_CHANGES),
    ]
    epics = [pb.PlanEpic(key="e", tasks=tasks)]
    return pb.Plan(name="Guards", defaults=pb.TaskDefaults(agent="command:sh .agent"), epics=epics)


@pytest.mark.timeout(120)
async def test_what_is_not_plainly_good_is_never_silently_accepted(tmp_path: Path) -> None:
    """A retry has setup's files; empty and ignored changes are marked; a missing change fails with a reason.

    Changes that a user makes by hand after the run are kept under a ref.
    """
    files = {".heddle.yaml": "setup: echo cfg > config.generated\n", ".agent": AGENT, ".gitignore": "lib/\n"}
    project = make_repository(tmp_path / "project", files)
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=make_plan(), project=str(project)))
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        assert events[-1].run_finished.outcome == pb.OUTCOME_FAILED
        tasks = {task.key: task for task in await client.list_tasks(f"{run.name}/epics/e")}
        run = await client.get_run(run.name)

        # Setting the failed attempt aside also removed setup's files, so setup ran again.
        assert [event.attempt for event in events if event.setup_finished.ok] == [1, 2]
        generate = tasks["generate"]
        assert git(project, "show", f"{generate.commit}:config.generated") == "cfg"

        review = tasks["review"]
        assert (review.state, review.reason) == (pb.TASK_STATE_ACCEPTED, "it changed nothing")
        assert review.latest_attempt.no_changes
        assert run.tasks.unchanged == 1
        assert [event.task for event in events if event.task_accepted.no_changes] == ["review"]

        ignore = tasks["ignore"]
        assert list(ignore.latest_attempt.ignored_files.paths) == ["lib/u"]
        named = [event for event in events if event.HasField("ignored_files_left")]
        assert [(event.task, event.ignored_files_left.count) for event in named] == [("ignore", 1)]

        work = tasks["work"]
        assert work.state == pb.TASK_STATE_FAILED
        assert "expect: changes" in work.reason

        (epic,) = await client.list_epics(run.name)
        Path(epic.worktree_path, "by-hand.txt").write_text("mine\n")
        await client.retry_task(work.name)
        last = events[-1].sequence
        async for response in client.watch_run(run.name, after=last):
            events += response.events
        (found,) = (event for event in events if event.HasField("changes_found"))
        assert (found.task, found.attempt) == ("work", 2)
        assert found.changes_found.after_attempt == f"{work.name}/attempts/1"
        assert git(project, "show", f"{found.changes_found.kept_ref}:by-hand.txt") == "mine"
        attempt = await client.get_attempt(f"{work.name}/attempts/2")
        assert (attempt.state, attempt.found_ref) == (
            pb.ATTEMPT_STATE_ACCEPTED,
            found.changes_found.kept_ref,
        )
        assert "no file outside of git's ignore rules was changed" in git(
            project, "show", f"{attempt.commit}:told.txt"
        )
        assert "by-hand.txt" not in git(project, "ls-tree", "--name-only", attempt.commit)
