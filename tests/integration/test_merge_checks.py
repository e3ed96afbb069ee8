"""Two epics pass alone but fail merged; the failure is found before the target moves."""

from pathlib import Path

from heddle import pb
from tests.integration.test_conflict import finished, follow
from tests.support.agents import living
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

# Each epic passes alone; "spoiler" fails together with "cook".
CHECK = "! test -e cook.txt || ! test -e spoiler.txt || { echo too many cooks; exit 1; }"


def a_plan(*keys: str, check: str = CHECK) -> pb.Plan:
    def epic(key: str) -> pb.PlanEpic:
        task = pb.PlanTask(key="write", prompt="Write", agent=f"command:echo {key} > {key}.txt")
        return pb.PlanEpic(key=key, tasks=[task])

    defaults = pb.TaskDefaults(checks=[pb.Check(name="kitchen", run=check)])
    return pb.Plan(name="Kitchen", defaults=defaults, epics=[epic(key) for key in keys])


async def test_the_epic_that_does_not_fit_is_named_and_mended(tmp_path: Path) -> None:
    """The failing epic is named with its output; the others merge, and its advice completes the run."""
    repository = make_repository(tmp_path / "repository")
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        plan = a_plan("cook", "spoiler", "waiter")
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await finished(client, run.name)

        epics = {epic.key: epic for epic in await client.list_epics(run.name)}
        # Whichever of the two was first is merged.
        (culprit,) = (epic for epic in epics.values() if epic.state == pb.EPIC_STATE_CONFLICTED)
        assert culprit.key in {"cook", "spoiler"}
        assert culprit.reason == f"checks fail on the merge with {run.branch}: kitchen"
        files = git(repository, "ls-tree", "--name-only", run.branch).split()
        assert "waiter.txt" in files
        assert f"{culprit.key}.txt" not in files
        (told,) = (event.merge_conflicted for event in events if event.HasField("merge_conflicted"))
        assert told.failed_checks[0].output == "too many cooks\n"
        red = [event for event in events if event.HasField("merge_check_finished")]
        assert "too many cooks\n" in {event.merge_check_finished.check.output for event in red}

        follow(told.advice, mended="", command="git rm --quiet cook.txt")
        await client.retry_merge(culprit.name)
        events += await finished(client, run.name, events[-1].sequence)
        assert (await client.get_run(run.name)).state == pb.RUN_STATE_SUCCEEDED
    assert "cook.txt" not in git(repository, "ls-tree", "--name-only", run.branch).split()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_killed_while_a_merge_is_tested(tmp_path: Path) -> None:
    """If each service is killed and restarted during a merge's checks, the run succeeds without leftovers."""
    repository = make_repository(tmp_path / "repository")
    (shared := tmp_path / "shared").mkdir()
    gate = shared / "gate"
    plan = a_plan("cook", "waiter", check="true")
    wait = f"while ! test -e {gate}; do sleep 0.05; done; test -e cook.txt -o -e waiter.txt"
    plan.merge_checks.checks.add(name="gate", run=wait)
    writable = {"HEDDLE_SANDBOX_WRITABLE": str(tmp_path)}
    async with running_fleet(tmp_path / "home", writable) as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        for service in ("scheduler_svc", "worktree_svc", "agent_svc"):
            await eventually(lambda: bool(living(str(gate))))
            fleet.kill(service)
            await fleet.start(service)
        gate.touch()
        await finished(client, run.name)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        assert list((fleet.home / "merges").iterdir()) == []
        assert list((fleet.home / "checks").iterdir()) == []
    assert {"cook.txt", "waiter.txt"} <= set(git(repository, "ls-tree", "--name-only", run.branch).split())
    assert list((repository / ".git" / "worktrees").iterdir()) == []


async def test_a_merge_is_tested_in_a_place_of_its_own(tmp_path: Path) -> None:
    """The temporary worktree has the copied files, setup, a slot and a port; a failed setup is named."""
    file = "setup: echo set up > ready\ncopy: .env\nports: 1\nteardown: echo $HEDDLE_PORT > gone\n"
    ignored = ".env\nready\n"
    repository = make_repository(tmp_path / "repository", {".heddle.yaml": file, ".gitignore": ignored})
    (repository / ".env").write_text("SECRET=1\n")
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        plan = a_plan("cook", "waiter")
        check = 'cat ready .env; test "$HEDDLE_PORT" -gt 0 -a "$HEDDLE_SLOT" -gt 0'
        plan.merge_checks.checks.add(name="place", run=check)
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await finished(client, run.name)
        assert (await client.get_run(run.name)).state == pb.RUN_STATE_SUCCEEDED
        told = [
            event.merge_check_finished.check for event in events if event.HasField("merge_check_finished")
        ]
        assert {check.name for check in told} == {"place"}
        assert {check.output for check in told} == {"set up\nSECRET=1\n"}

        (repository / ".heddle.yaml").write_text("setup: test ! -e cook.txt\n")
        git(repository, "commit", "--quiet", "--all", "-m", "Break the setup")
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        await finished(client, run.name)
        reasons = {epic.key: epic.reason for epic in await client.list_epics(run.name)}
        assert "setup: test ! -e cook.txt" in reasons["cook"]


async def test_of_a_long_output_the_end_is_kept(tmp_path: Path) -> None:
    """Of what a check of a merge printed, the last 8 Ki characters are kept with the conflict: the error is at the end."""
    repository = make_repository(tmp_path / "repository")
    check = "test ! -e cook.txt || { printf 'first%020000d' 0; echo 'ä too many cooks'; false; }"
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        plan = a_plan("cook")
        del plan.defaults.checks[:]
        plan.merge_checks.checks.add(name="kitchen", run=check)
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await finished(client, run.name)
        (told,) = (event.merge_conflicted for event in events if event.HasField("merge_conflicted"))
        end = "ä too many cooks\n"
        assert told.failed_checks[0].output == "0" * ((8 << 10) - len(end)) + end
