"""The sample plan works on the sample repository, with real git and real commands."""

import subprocess
from pathlib import Path

import pytest

from agent_svc.agents.scripted.rehearsal import rehearsal
from heddle import pb, samples
from heddle.plan.file import load
from heddle.plan.graphs import analysis
from tests.support.repositories import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "todo"
    samples.make_sample_repository(path)
    return path


@pytest.fixture(scope="module")
def plan() -> pb.Plan:
    loaded = load(samples.PLAN)
    assert loaded.describe() == ""
    return loaded.plan


def play(step: pb.ScriptStep, worktree: Path) -> None:
    """Applies a step's effects to the worktree."""
    match step.WhichOneof("step"):
        case "write":
            path = worktree / step.write.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.write.text)
        case "edit":
            path = worktree / step.edit.path
            assert step.edit.find in path.read_text()
            path.write_text(path.read_text().replace(step.edit.find, step.edit.replace, 1))
        case "run":
            subprocess.run(step.run.command, shell=True, cwd=worktree, check=False, capture_output=True)  # noqa: S602 (a script's own commands)


def check(command: str, worktree: Path) -> None:
    done = subprocess.run(command, shell=True, cwd=worktree, check=False, capture_output=True, text=True)  # noqa: S602 (a plan's own checks)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_check_passes_and_the_epics_merge(repository: Path, plan: pb.Plan) -> None:
    """Each task, played in order, passes its checks; all branches merge, but for the conflict that an agent resolves."""
    base = git(repository, "rev-parse", "main")
    for epic in in_order(plan):
        worktree = repository.parent / epic.key
        git(
            repository,
            "worktree",
            "add",
            "--quiet",
            "-b",
            epic.key,
            str(worktree),
            "main" if epic.depends_on else base,
        )
        for task in analysis.planned_order(epic):
            for step in task.script:
                play(step, worktree)
            for each in task.checks:
                check(each.run, worktree)
            git(worktree, "add", "--all")
            git(worktree, "commit", "--quiet", "--message", task.key)
        if not merged(repository, epic.key):
            assert git(repository, "diff", "--name-only", "--diff-filter=U") == "todo/commands.py"
            request = pb.StartSessionRequest(attempt=f"runs/r/epics/{epic.key}/tasks/resolve-1/attempts/1")
            for step in rehearsal(request, repository):
                play(step, repository)
            git(repository, "commit", "--quiet", "--all", "--no-edit")
            conflicted = epic.key
    assert conflicted == "reminders"
    for command in {each.run for epic in plan.epics for task in epic.tasks for each in task.checks}:
        check(command, repository)
    assert git(repository, "status", "--porcelain") == ""


def in_order(plan: pb.Plan) -> list[pb.PlanEpic]:
    """Returns the epics so that each comes after those that it depends on."""
    epics = {epic.key: epic for epic in plan.epics}
    return [epics[key] for wave in analysis.analyse(plan, parallel=1).waves for key in wave]


def merged(repository: Path, branch: str) -> bool:
    try:
        git(repository, "merge", "--quiet", "--no-edit", branch)
    except subprocess.CalledProcessError:
        return False
    return True


def test_the_plan_shows_what_heddle_can_do(plan: pb.Plan) -> None:
    """The sample has what a first look at Heddle should show, and no question that waits without a limit."""
    assert len(plan.epics) == 9
    assert [sorted(overlap[:2]) for overlap in analysis.analyse(plan, parallel=6).overlaps] == [
        ["export", "reminders"]
    ]
    tasks = [task for epic in plan.epics for task in epic.tasks]
    steps = [step for task in tasks for step in task.script]
    kinds = {step.WhichOneof("step") for step in steps}
    assert kinds >= {
        "say",
        "think",
        "write",
        "edit",
        "run",
        "screenshot",
        "usage",
        "wait",
        "fail",
        "ask",
        "plan",
    }
    assert [task.retries for task in tasks if any(step.HasField("fail") for step in task.script)] == [1]
    assert [task.retries for task in tasks if any(step.from_attempt == 2 for step in task.script)] == [1]
    asking = [task for task in tasks if any(step.HasField("ask") for step in task.script)]
    assert all(task.permissions.HasField("wait") for task in asking)
    assert all(step.ask.if_denied for step in steps if step.HasField("ask"))
    assert [epic.key for epic in plan.epics if epic.merge == pb.MERGE_POLICY_MANUAL] == ["release"]
    spent = sum(step.usage.cost_usd_micros for step in steps)
    assert 0.25 < spent / plan.budget_usd_micros < 0.9


def test_a_faster_plan_waits_shorter(plan: pb.Plan) -> None:
    """A factor shortens the pauses, estimates and questions of a plan, and leaves the plan itself unchanged."""
    quick = samples.faster(plan, 10)
    before, after = (pauses(each) for each in (plan, quick))
    assert sum(after) == pytest.approx(sum(before) / 10)
    links = next(task for epic in quick.epics for task in epic.tasks if task.key == "links")
    assert links.permissions.wait.ToTimedelta().total_seconds() == 7.5


def pauses(plan: pb.Plan) -> list[float]:
    steps = (step for epic in plan.epics for task in epic.tasks for step in task.script)
    return [step.wait.duration.ToTimedelta().total_seconds() for step in steps if step.HasField("wait")]


def test_making_the_repository_twice_changes_nothing(repository: Path) -> None:
    """A second call keeps work that was done in the repository."""
    (repository / "README.md").write_text("mine")
    git(repository, "commit", "--quiet", "--all", "--message=mine")
    commit = git(repository, "rev-parse", "HEAD")
    samples.make_sample_repository(repository)
    assert git(repository, "rev-parse", "HEAD") == commit


def test_an_interrupted_making_is_finished(tmp_path: Path) -> None:
    """Files without a commit, or a repository without a commit, are completed."""
    path = tmp_path / "todo"
    path.mkdir()
    (path / "README.md").write_text("half")
    git(path, "init", "--quiet")
    samples.make_sample_repository(path)
    assert git(path, "status", "--porcelain") == ""
    assert "tools/run_tests.py" in git(path, "ls-files")


def test_leaves_other_files_alone(tmp_path: Path) -> None:
    """A folder with other content is rejected and left untouched."""
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(samples.SampleError, match=r"thesis\.tex"):
        samples.make_sample_repository(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_says_that_git_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that git is not installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(samples.SampleError, match="git is not installed"):
        samples.make_sample_repository(tmp_path / "todo")


def test_says_that_the_place_cannot_be_written(tmp_path: Path) -> None:
    """A file in place of the parent folder causes a plain error."""
    (tmp_path / "file").touch()
    with pytest.raises(samples.SampleError, match="cannot write"):
        samples.make_sample_repository(tmp_path / "file" / "todo")


def test_makes_a_repository_inside_another(tmp_path: Path) -> None:
    """The sample has its own history, even inside another repository."""
    git(tmp_path, "init", "--quiet")
    samples.make_sample_repository(tmp_path / "todo")
    assert git(tmp_path / "todo", "rev-list", "--count", "HEAD") == "1"
