"""Epics on several workers take in the project's branch, while their plan changes and when their run runs again."""

from pathlib import Path

from heddle import pb
from heddle.names import EpicName
from tests.support.places import events_of, places
from tests.support.repositories import fast_import, git

# It fails until the test lets it pass.
CAREFUL = "command:test -e $STAGE/fixed && echo careful > b-three.txt"


async def test_placed_epics_stay_current_when_their_plan_changes_and_their_run_runs_again(
    tmp_path: Path,
) -> None:
    """What an epic on another worker takes in is accepted through its claim; the next run starts from all of it."""
    async with places(tmp_path) as on, on.scheduler.client() as client:
        request = on.request({"a": ["one", "two"], "b": ["one", "two"]})
        request.plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
        run = await client.create_run(request)
        at_work = await on.until_at_work("a-one-1", "b-one-1")
        assert set(at_work.values()) == {"w1", "w2"}
        fast_import(on.remote, "trunk", {"theirs.txt": "theirs\n"}, "trunk")
        tip = git(on.remote, "rev-parse", "trunk")
        current = await client.get_plan(run.name)
        current.plan.epics[1].tasks.add(key="three", prompt="Go", agent=CAREFUL)
        changed = pb.ApplyPlanRequest(name=run.name, plan=current.plan, revision=current.revision)
        assert (await client.apply_plan(changed)).revision == 2
        on.let_go()
        events = await events_of(client, run.name)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_FAILED
        taken = {each.epic: each.sync_finished for each in events if each.HasField("sync_finished")}
        assert taken == dict.fromkeys("ab", pb.SyncFinished(branch="trunk", commit=tip, commit_count=1))
        for epic in await client.list_epics(run.name):
            # Both were accepted at the remote, with the branch as second parent of the merge before the second task.
            assert git(on.remote, "rev-parse", EpicName.parse(epic.name).branch) == epic.head_commit
            assert git(on.remote, "rev-parse", f"{epic.head_commit}~1^2") == tip
            assert "theirs.txt" not in (await client.get_diff(epic.name)).text
        assert on.merged() == {"theirs": "theirs"}

        fast_import(on.remote, "trunk", {"later.txt": "later\n"}, "trunk")
        (on.stage / "fixed").touch()
        again = await client.create_run(pb.CreateRunRequest(again=run.name, failed_only=True))
        events = await events_of(client, again.name)
        ended = await client.get_run(again.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert {each.epic for each in events if each.HasField("sync_finished")} == {"b"}
        merged = on.merged()
    assert merged.keys() == {"theirs", "later", "a-one", "a-two", "b-one", "b-two", "b-three"}
    assert merged["later"] == "later"
