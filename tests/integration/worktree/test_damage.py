"""If agents or crashes damage a worktree, nothing is lost, and the next attempt gets an intact one."""

import shutil
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.files.worktree_paths import git_folder_of, view_of
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.content import checkouts

KEPT = "refs/heddle/attempts/r1/api/one/1"


def content(worker: Worker, revision: str, name: str) -> str:
    return worker.git("show", f"{revision}:{name}")


def is_sound(worker: Worker, path: Path) -> bool:
    head = git(path, "symbolic-ref", "HEAD")
    registered = f"worktree {path}\n" in worker.git("worktree", "list", "--porcelain")
    return head == "refs/heads/heddle/r1/epics/api" and registered and not git(path, "status", "--porcelain")


async def test_detached_head_is_folded_in(worker: Worker) -> None:
    """If an agent detached HEAD and committed there, its task is still committed on the epic's branch."""
    path = await worker.ready(attempt())
    git(path, "switch", "--detach")
    (path / "a.txt").write_text("a\n")
    git(path, "add", ".")
    git(path, "commit", "-m", "detached")
    done = await worker.commit(attempt())
    assert content(worker, done.commit, "a.txt") == "a"
    assert worker.git("rev-parse", "heddle/r1/epics/api") == done.commit
    assert is_sound(worker, path)


async def test_a_branch_of_its_own_is_folded_in(worker: Worker) -> None:
    """If an agent made a branch and committed there, its task is committed on the epic's branch."""
    path = await worker.ready(attempt())
    git(path, "switch", "-c", "my-idea")
    (path / "a.txt").write_text("a\n")
    git(path, "add", ".")
    git(path, "commit", "-m", "on my own branch")
    done = await worker.commit(attempt())
    assert content(worker, "heddle/r1/epics/api", "a.txt") == "a"
    assert git(path, "rev-parse", "HEAD") == done.commit
    assert is_sound(worker, path)


async def test_another_line_of_work_is_refused_and_kept(worker: Worker) -> None:
    """If the worktree was switched to a branch without the accepted work, it is not committed, but kept."""
    path = await worker.ready(attempt(task="zero"))
    (path / "accepted.txt").write_text("accepted\n")
    accepted = (await worker.commit(attempt(task="zero"))).commit
    worker.git("branch", "elsewhere", "main")
    await worker.ready(attempt())
    git(path, "switch", "elsewhere")
    (path / "lost.txt").write_text("not lost\n")
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_WORKTREE_DAMAGED
    assert "another attempt" in error.message
    await worker.ready(attempt(number=2))
    assert content(worker, KEPT, "lost.txt") == "not lost"
    assert git(path, "rev-parse", "HEAD") == accepted
    assert worker.git("rev-parse", "elsewhere") == worker.git("rev-parse", "main")
    assert is_sound(worker, path)


@pytest.mark.parametrize("how", ["deleted", "emptied", "elsewhere", "repository"])
async def test_a_damaged_git_file_is_repaired(worker: Worker, how: str) -> None:
    """Whatever happened to the worktree's .git file, the task is committed and the worktree is repaired."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    pointer = path / ".git"
    pointer.unlink()
    if how == "emptied":
        pointer.touch()
    if how == "elsewhere":
        pointer.write_text("gitdir: /nowhere\n")
    if how == "repository":
        git(path, "init", "--quiet")
        git(path, "add", "README.md")
        git(path, "commit", "--quiet", "-m", "a history of its own")
    done = await worker.commit(attempt())
    assert worker.git("diff", "--name-only", "main", done.commit) == "a.txt"
    assert is_sound(worker, path)
    await worker.remove("runs/r1/epics/api")
    assert list((worker.home / "worktrees").iterdir()) == []


@pytest.mark.parametrize(
    "how", ["folder", "registration", "both", "link", "half-made", "unlisted-head", "no-head"]
)
async def test_an_incomplete_worktree_is_created_again(worker: Worker, how: str, tmp_path: Path) -> None:
    """An incomplete worktree is created again; until then, committing in it is refused."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    registration = worker.project / ".git" / "worktrees" / "api"
    if how in {"folder", "both"}:
        shutil.rmtree(path)
    if how in {"registration", "both"}:
        shutil.rmtree(registration)
    if how == "link":
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
    if how == "half-made":
        (registration / "locked").write_text("initializing")
    if how == "unlisted-head":
        (registration / "HEAD").unlink()
    if how == "no-head":
        (git_folder_of(path) / "HEAD").unlink()
    assert (await refused(worker.commit(attempt()))).reason == pb.ERROR_REASON_WORKTREE_DAMAGED
    again = await worker.ensure(attempt(number=2))
    assert again.created
    assert is_sound(worker, path)
    assert worker.git("worktree", "list").count("\n") == 1
    if how in {"registration", "half-made", "unlisted-head", "no-head"}:
        assert content(worker, KEPT, "a.txt") == "a"
    if how == "link":
        assert (tmp_path / "moved" / "a.txt").exists()


async def test_commits_of_a_worktree_that_is_gone_are_kept(worker: Worker) -> None:
    """If the folder is gone, the agent's commits on the epic's branch are still kept, and archived by a removal."""
    for number in (1, 2):
        path = await worker.ready(attempt(number=number))
        (path / "a.txt").write_text(f"{number}\n")
        git(path, "add", ".")
        git(path, "commit", "-m", "own")
        shutil.rmtree(path)
    await worker.remove("runs/r1/epics/api")
    assert content(worker, KEPT, "a.txt") == "1"
    assert content(worker, "refs/heddle/archive/r1/api", "a.txt") == "2"


async def test_a_clean_up_that_was_cut_short_is_not_kept_as_work(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the service dies between keeping and cleaning, only the attempt's work is kept."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    (path / "b.txt").write_text("b\n")

    def cut_short(*_: object) -> None:
        (path / "a.txt").unlink()
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(checkouts, "reset", cut_short)
        with pytest.raises(grpc.RpcError):
            await worker.ensure(attempt(number=2))
    await worker.ready(attempt(number=2))
    assert worker.git("ls-tree", "--name-only", KEPT).split() == [
        ".gitignore",
        "README.md",
        "a.txt",
        "b.txt",
        "src",
    ]
    assert is_sound(worker, path)


async def test_locks_of_killed_processes_do_not_stay_in_the_way(worker: Worker) -> None:
    """index.lock, HEAD.lock and a branch's lock, left by a killed git process, prevent neither a commit nor a reset."""
    path = await worker.ready(attempt())
    folder = worker.project / ".git"
    locks = (
        git_folder_of(path) / "index.lock",
        git_folder_of(path) / "HEAD.lock",
        view_of(path) / "refs" / "heads" / "heddle" / "r1" / "epics" / "api.lock",
        folder / "refs" / "heads" / "heddle" / "r1" / "epics" / "api.lock",
        worker.home / "worktrees" / "r1" / "api.index.lock",
    )
    for call in (worker.commit, worker.discard):
        for lock in locks:
            lock.touch()
        (path / "a.txt").write_text("a\n")
        await call(attempt())
        assert not [lock for lock in locks if lock.exists()]
    assert is_sound(worker, path)


async def test_a_half_done_rebase_is_forgotten(worker: Worker) -> None:
    """The next attempt does not start in the middle of the previous one's conflict."""
    path = await worker.ready(attempt())
    for branch, text in (("mine", "mine\n"), ("yours", "yours\n")):
        git(path, "switch", "-c", branch, "main")
        (path / "README.md").write_text(text)
        git(path, "commit", "-am", branch)
    with pytest.raises(Exception, match="rebase"):
        git(path, "rebase", "mine")
    await worker.ready(attempt(number=2))
    assert "rebase" not in git(path, "status")
    assert is_sound(worker, path)


async def test_a_broken_index_of_the_agent_does_not_matter(worker: Worker) -> None:
    """The agent's index may contain anything, or hide files: the commit contains the files of the worktree."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("hidden from git\n")
    git(path, "update-index", "--assume-unchanged", "README.md")
    done = await worker.commit(attempt())
    assert content(worker, done.commit, "README.md") == "hidden from git"
    await worker.ready(attempt(number=2))
    (git_folder_of(path) / "index").write_text("garbage")
    (path / "b.txt").write_text("b\n")
    done = await worker.commit(attempt(number=2))
    assert content(worker, done.commit, "b.txt") == "b"


@pytest.mark.parametrize("commits", [0, 1])
async def test_repositories_inside_become_files(worker: Worker, commits: int) -> None:
    """A repository that an agent cloned or created inside is committed as plain files, and removed when discarded."""
    path = await worker.ready(attempt())
    inner = path / "vendor" / "lib"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    (inner / "lib.py").write_text("lib\n")
    (inner / ".gitignore").write_text("*.pyc\n")
    (inner / "lib.pyc").write_text("compiled\n")
    for _ in range(commits):
        git(inner, "add", ".")
        git(inner, "commit", "--quiet", "-m", "upstream")
    done = await worker.commit(attempt())
    assert content(worker, done.commit, "vendor/lib/lib.py") == "lib"
    names = worker.git("ls-tree", "-r", "--name-only", done.commit, "vendor").splitlines()
    assert names == ["vendor/lib/.gitignore", "vendor/lib/lib.py"]
    await worker.ready(attempt(task="two"))
    assert (inner / "lib.py").exists()
    shutil.copytree(inner, path / "copy")
    git(path / "copy", "init", "--quiet")
    await worker.ready(attempt(task="two", number=2))
    assert not (path / "copy").exists()


async def test_submodules_stay_submodules(worker: Worker, tmp_path: Path) -> None:
    """A submodule that an agent added is committed as one."""
    library = make_repository(tmp_path / "library")
    path = await worker.ready(attempt())
    git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    done = await worker.commit(attempt())
    assert worker.git("ls-tree", done.commit, "lib").startswith("160000 commit")


async def test_other_worktrees_inside_are_not_committed_but_kept(worker: Worker) -> None:
    """A worktree that an agent added inside its own is not part of its task; its files are kept afterwards."""
    path = await worker.ready(attempt())
    git(path, "worktree", "add", "--quiet", "-b", "side", ".side")
    (path / ".side" / "idea.txt").write_text("idea\n")
    done = await worker.commit(attempt())
    assert done.diff_stat.files == 0
    await worker.ready(attempt(task="two"))
    assert content(worker, KEPT, ".side/idea.txt") == "idea"
    assert not (path / ".side").exists()


async def test_folders_without_permission_are_cleaned(worker: Worker) -> None:
    """A read-only cache, such as Go's, prevents neither reset nor removal."""
    path = await worker.ready(attempt())
    for name in ("mod", "cache"):
        (path / name / "deep").mkdir(parents=True)
        (path / name / "deep" / "file").write_text("x")
        (path / name / "deep").chmod(0o500)
    await worker.ready(attempt(number=2))
    assert not (path / "mod").exists()
    assert (await worker.remove("runs/r1/epics/api")).removed
    assert not path.exists()


async def test_the_accepted_ref_can_be_derived(worker: Worker) -> None:
    """Without Heddle's ref, the accepted commit is found by its trailers; an agent's commits are ignored."""
    path = await worker.ready(attempt())
    accepted = (await worker.commit(attempt())).commit
    await worker.ready(attempt(task="two"))
    git(path, "commit", "--allow-empty", "-m", "Not accepted\n\nHeddle-Attempt: 9")
    worker.git("update-ref", "-d", "refs/heddle/accepted/r1/api")
    again = await worker.ensure(attempt(task="two", number=2))
    assert again.worktree.head_commit == accepted
    assert worker.git("rev-parse", "heddle/r1/epics/api") == accepted


async def test_a_deleted_branch_comes_back(worker: Worker) -> None:
    """A branch that was deleted is created again at the last accepted commit."""
    path = await worker.ready(attempt())
    accepted = (await worker.commit(attempt())).commit
    worker.git("update-ref", "-d", "refs/heads/heddle/r1/epics/api")
    await worker.ready(attempt(task="two"))
    assert worker.git("rev-parse", "heddle/r1/epics/api") == accepted
    assert is_sound(worker, path)


async def test_a_new_service_continues_where_the_old_one_ended(tmp_path: Path, project: Path) -> None:
    """State, fence and worktrees survive the end of the service."""
    async with worktrees.worker(tmp_path / "home", project) as first:
        first.epoch = 3
        path = await first.ready(attempt(number=2))
        (path / "a.txt").write_text("a\n")
    async with worktrees.worker(tmp_path / "home", project) as second:
        second.epoch = 2
        error = await refused(second.commit(attempt(number=2)))
        assert error.reason == pb.ERROR_REASON_STALE_EPOCH
        second.epoch = 3
        assert (await refused(second.ensure(attempt()))).reason == pb.ERROR_REASON_STALE_ATTEMPT
        assert (await second.commit(attempt(number=2))).diff_stat.files == 1
