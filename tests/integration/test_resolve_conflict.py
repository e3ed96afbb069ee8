"""An agent resolves a conflict between two epics, with real git."""

from pathlib import Path

from heddle import pb
from tests.integration.test_conflict import finished
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

# Writes its color in its own task. When asked to resolve, leaves the markers once, then keeps both colors.
PAINTER = r"""
case $HEDDLE_TASK/$HEDDLE_ATTEMPT in
  paint/*) echo "color = $HEDDLE_EPIC" > app.conf; echo $HEDDLE_EPIC > $HEDDLE_EPIC.txt ;;
  */1) grep -q '^<<<<<<<' app.conf && test -e one.txt -a -e two.txt && git status --short ;;
  *) sed -i '/^[<=>]\{7\}/d' app.conf ;;
esac
"""


def a_plan(on_conflict: "pb.OnConflict.ValueType") -> pb.Plan:
    agent = f"command:{PAINTER.strip()}"
    return pb.Plan(
        name="Paint",
        defaults=pb.TaskDefaults(agent=agent, retries=1, on_conflict=on_conflict),
        epics=[
            pb.PlanEpic(key=key, tasks=[pb.PlanTask(key="paint", prompt="Paint")]) for key in ("one", "two")
        ],
    )


def check_resolved(repository: Path, run: pb.Run, epic: pb.Epic, target_before: str) -> None:
    """Checks that the epic's last commit has both sides as parents, and the target both sides' lines."""
    accepted = git(repository, "rev-parse", epic.branch)
    assert epic.head_commit == accepted
    first, second = git(repository, "show", "-s", "--format=%P", accepted).split()
    assert git(repository, "show", f"{first}:app.conf") == f"color = {epic.key}"
    assert second == target_before
    lines = set(git(repository, "show", f"{run.branch}:app.conf").splitlines())
    assert lines == {"color = one", "color = two"}


async def test_an_agent_resolves_a_conflict(tmp_path: Path) -> None:
    """The resolving task fails while conflict markers are left, and its second attempt is merged."""
    repository = make_repository(tmp_path / "repository", {"app.conf": "color = grey\n"})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        request = pb.CreateRunRequest(plan=a_plan(pb.ON_CONFLICT_AGENT), project=str(repository))
        run = await client.create_run(request)
        events = await finished(client, run.name)
        assert (await client.get_run(run.name)).state == pb.RUN_STATE_SUCCEEDED
        (conflict,) = (event for event in events if event.HasField("merge_conflicted"))
        assert conflict.merge_conflicted.hunks[0].file == "app.conf"
        epic = next(each for each in await client.list_epics(run.name) if each.key == conflict.epic)
        (task,) = (each for each in await client.list_tasks(epic.name) if each.key == "resolve-1")
        assert "- app.conf" in task.prompt
        failed, accepted = await client.list_attempts(task.name)
        assert "conflict markers are left in app.conf" in failed.reason, failed.reason
        assert accepted.state == pb.ATTEMPT_STATE_ACCEPTED
        check_resolved(repository, run, epic, conflict.merge_conflicted.target_commit)
        # Merged-in changes do not count as its own work.
        diff = (await client.get_diff(epic.name)).text
        other = "two" if epic.key == "one" else "one"
        assert f"{epic.key}.txt" in diff
        assert f"{other}.txt" not in diff


async def test_the_operator_has_an_agent_resolve_it(tmp_path: Path) -> None:
    """An unresolved conflict ends the run; once another agent resolves it, epic and run succeed."""
    repository = make_repository(tmp_path / "repository", {"app.conf": "color = grey\n"})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        request = pb.CreateRunRequest(plan=a_plan(pb.ON_CONFLICT_WAIT), project=str(repository))
        run = await client.create_run(request)
        events = await finished(client, run.name)
        (epic,) = (
            each for each in await client.list_epics(run.name) if each.state == pb.EPIC_STATE_CONFLICTED
        )
        (conflict,) = (event.merge_conflicted for event in events if event.HasField("merge_conflicted"))
        shown = await client.get_conflicts(run.name)
        assert shown.queue[0].conflict == conflict
        mender = "command:sed -i '/^[<=>]\\{7\\}/d' app.conf"
        await client.resolve_conflict(epic.name, agent=mender)
        await finished(client, run.name, events[-1].sequence)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        (epic,) = (each for each in await client.list_epics(run.name) if each.name == epic.name)
        check_resolved(repository, run, epic, conflict.target_commit)


async def test_a_person_resolves_it(tmp_path: Path) -> None:
    """What a person decides is checked as an agent's work is: it is merged if the checks pass, and refused if not."""
    repository = make_repository(tmp_path / "repository", {"app.conf": "color = grey\n"})
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        plan = a_plan(pb.ON_CONFLICT_WAIT)
        plan.merge_checks.checks.add(name="colors", run="! grep -q grey app.conf")
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await finished(client, run.name)
        (epic,) = (
            each for each in await client.list_epics(run.name) if each.state == pb.EPIC_STATE_CONFLICTED
        )
        conflict = await client.get_epic_conflict(epic.name)
        (file,) = conflict.files
        assert (file.path, file.form) == ("app.conf", pb.CONFLICT_FORM_TEXT)
        (part,) = await client.get_conflict_file(epic.name, conflict, file.index)
        assert part.region.ours == f"color = {epic.key}\n".encode()

        def decided(choice: pb.RegionChoice, request_id: str) -> pb.SubmitResolutionRequest:
            return pb.SubmitResolutionRequest(
                name=epic.name,
                request_id=request_id,
                source_commit=conflict.source_commit,
                target_commit=conflict.target_commit,
                files=[pb.FileResolution(regions=pb.RegionChoices(choices=[choice]))],
            )

        wrong = decided(pb.RegionChoice(text=b"color = grey\n"), "wrong")
        await client.submit_resolution(wrong)
        # Repeated, it adds no second task.
        await client.submit_resolution(wrong)
        events = await finished(client, run.name, events[-1].sequence)
        (task,) = (each for each in await client.list_tasks(epic.name) if each.key == "resolve-1")
        assert task.title.startswith(f"Resolve the merge with {run.branch} as decided by ")
        (attempt,) = await client.list_attempts(task.name)
        assert "colors" in attempt.reason, attempt.reason
        assert (await client.get_epic_conflict(epic.name)) == conflict
        right = pb.RegionChoice(side=pb.RESOLUTION_SIDE_THEIRS_THEN_OURS)
        await client.submit_resolution(decided(right, "right"))
        await finished(client, run.name, events[-1].sequence)
        ended = await client.get_run(run.name)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        (epic,) = (each for each in await client.list_epics(run.name) if each.name == epic.name)
        check_resolved(repository, run, epic, conflict.target_commit)
