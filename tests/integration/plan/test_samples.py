"""The sample plan works on the sample repository, with real git and real commands."""

import subprocess
from pathlib import Path

import pytest

from heddle import pb, samples
from heddle.plan import analysis
from heddle.plan.file import load
from tests.support.repositories import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "bookshelf"
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
    """Each task, played in order, changes something and passes its checks; the three branches merge cleanly."""
    for epic in plan.epics:
        worktree = repository.parent / epic.key
        git(repository, "worktree", "add", "--quiet", "-b", epic.key, str(worktree), "main")
        for task in analysis.planned_order(epic):
            for step in task.script:
                play(step, worktree)
            for each in task.checks:
                check(each.run, worktree)
            git(worktree, "add", "--all")
            git(worktree, "commit", "--quiet", "--message", task.key)
    for epic in plan.epics:
        git(repository, "merge", "--quiet", "--no-edit", epic.key)
    for command in {each.run for epic in plan.epics for task in epic.tasks for each in task.checks}:
        check(command, repository)
    assert git(repository, "status", "--porcelain") == ""


def test_the_plan_shows_what_heddle_can_do(plan: pb.Plan) -> None:
    """The sample has three parallel epics of three tasks, one retry, and every kind of item of a board."""
    assert [epic.title for epic in plan.epics] == ["Backend API", "Frontend UI", "Database"]
    assert all(len(epic.tasks) == 3 for epic in plan.epics)
    result = analysis.analyse(plan, parallel=3)
    assert len(result.waves) == 1
    assert result.overlaps == ()
    steps = [step for epic in plan.epics for task in epic.tasks for step in task.script]
    kinds = {step.WhichOneof("step") for step in steps}
    assert kinds >= {"say", "think", "write", "edit", "run", "screenshot", "usage", "wait", "fail"}
    [failing] = [
        task for epic in plan.epics for task in epic.tasks for step in task.script if step.HasField("fail")
    ]
    assert failing.retries == 1


def test_making_the_repository_twice_changes_nothing(repository: Path) -> None:
    """A second call keeps work that was done in the repository."""
    (repository / "README.md").write_text("mine")
    git(repository, "commit", "--quiet", "--all", "--message=mine")
    commit = git(repository, "rev-parse", "HEAD")
    samples.make_sample_repository(repository)
    assert git(repository, "rev-parse", "HEAD") == commit


def test_an_interrupted_making_is_finished(tmp_path: Path) -> None:
    """Files without a commit, or a repository without a commit, are completed."""
    path = tmp_path / "bookshelf"
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
        samples.make_sample_repository(tmp_path / "bookshelf")


def test_says_that_the_place_cannot_be_written(tmp_path: Path) -> None:
    """A file in place of the parent folder causes a plain error."""
    (tmp_path / "file").touch()
    with pytest.raises(samples.SampleError, match="cannot write"):
        samples.make_sample_repository(tmp_path / "file" / "bookshelf")


def test_makes_a_repository_inside_another(tmp_path: Path) -> None:
    """The sample has its own history, even inside another repository."""
    git(tmp_path, "init", "--quiet")
    samples.make_sample_repository(tmp_path / "bookshelf")
    assert git(tmp_path / "bookshelf", "rev-list", "--count", "HEAD") == "1"
