"""A user checks out or deletes a run's branch during the run, with real git and all services."""

from pathlib import Path

from heddle import pb
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository


async def test_a_look_at_the_result_only_makes_the_merge_wait(tmp_path: Path) -> None:
    """A merge waits while the run's branch is checked out; a deleted branch is restored, and all is merged.

    The run also reports how many commits its base lacks.
    """
    repository = make_repository(tmp_path / "repository")
    first = pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="t", prompt="p", agent="command:echo a > a")])
    wait = "command:until git rev-parse --quiet --verify refs/tags/go; do sleep 0.1; done; echo b > b"
    second = pb.PlanEpic(key="b", depends_on=["a"], tasks=[pb.PlanTask(key="t", prompt="p", agent=wait)])
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        plan = pb.Plan(name="Look", epics=[first, second])
        request = pb.CreateRunRequest(plan=plan, project=str(repository))
        ahead = git(repository, "commit-tree", "-p", "main", "-m", "Theirs", "main^{tree}")
        git(repository, "update-ref", "refs/remotes/origin/main", ahead)
        behind = pb.BaseBehind(branch="main", upstream="origin/main", commits=1)
        previewed = pb.CreateRunRequest(validate_only=True)
        previewed.MergeFrom(request)
        assert (await client.create_run(previewed)).base_behind == behind
        run = await client.create_run(request)
        assert run.base_behind == behind
        held = []
        async for answer in client.watch_run(run.name):
            for event in answer.events:
                if event.HasField("merge_finished") and event.epic == "a":
                    git(repository, "switch", "--quiet", run.branch)
                    git(repository, "tag", "go")
                if event.HasField("merge_held"):
                    held.append(event.merge_held.reason)
                    (_, epic) = await client.list_epics(run.name)
                    assert epic.state == pb.EPIC_STATE_MERGING
                    assert str(repository) in epic.merge_hold
                    (entry,) = (e for e in (await client.get_conflicts(run.name)).queue if e.epic == "b")
                    assert entry.waits_for == epic.merge_hold
                    git(repository, "switch", "--quiet", "main")
                    # The user assumes that the branch is no longer needed.
                    git(repository, "branch", "--delete", "--force", run.branch)
        ended = await client.get_run(run.name)
        assert (ended.state, ended.reason, ended.base_behind) == (pb.RUN_STATE_SUCCEEDED, "", behind)
        assert len(held) == 1
        assert {"a", "b"} <= set(git(repository, "ls-tree", "--name-only", run.branch).splitlines())
