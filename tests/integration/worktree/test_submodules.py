"""Submodules are filled for an attempt and reset between attempts; commits inside are never lost."""

import shutil
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, refused

ALLOW = ("-c", "protocol.file.allow=always")
KEPT = "refs/heddle/attempts/r1/api/one/1"


def commit_all(folder: Path, message: str = "work") -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def make_submodule(path: Path, library: Path) -> None:
    """Replaces a folder by a submodule, as an agent that cannot write .git/config would."""
    shutil.rmtree(path / "lib")
    git(path, *ALLOW, "clone", "--quiet", str(library), "lib")
    git(path, "config", "--file", ".gitmodules", "submodule.lib.path", "lib")
    git(path, "config", "--file", ".gitmodules", "submodule.lib.url", str(library))


async def look(worker: Worker) -> pb.Worktree:
    (found,) = (await worker.stub.ListWorktrees(pb.ListWorktreesRequest(look=True))).worktrees
    return found


@pytest.fixture
def library(tmp_path: Path, project: Path) -> Path:
    """A project with a submodule that has a submodule itself; the project's user has fetched both."""
    inner = make_repository(tmp_path / "inner", {"deep.txt": "deep\n"})
    library = make_repository(tmp_path / "library", {"lib.py": "lib\n", ".gitignore": "built/\n"})
    git(library, *ALLOW, "submodule", "--quiet", "add", str(inner), "inner")
    commit_all(library)
    git(project, *ALLOW, "submodule", "--quiet", "add", str(library), "lib")
    git(project, *ALLOW, "submodule", "--quiet", "update", "--init", "--recursive")
    commit_all(project)
    return library


@pytest.fixture
def unfilled(project: Path, library: Path) -> Path:
    """The same project, whose user has fetched no submodule."""
    git(project, "submodule", "--quiet", "deinit", "--all", "--force")
    shutil.rmtree(project / ".git" / "modules")
    return library


@pytest.mark.usefixtures("library")
async def test_submodules_are_filled_and_reset(worker: Worker) -> None:
    """Each attempt has the user's fetched submodules, also nested ones, without the last attempt's changes."""
    base = worker.git("rev-parse", "main:lib")
    path = await worker.ready(attempt())
    assert (path / "lib" / "lib.py").read_text() == "lib\n"
    assert (path / "lib" / "inner" / "deep.txt").read_text() == "deep\n"
    assert git(path / "lib", "rev-parse", "HEAD") == base
    assert git(path, "status", "--porcelain") == ""
    (path / "lib" / "built").mkdir()
    (path / "lib" / "built" / "out").touch()
    (path / "lib" / "lib.py").write_text("edited\n")
    (path / "lib" / "new.py").write_text("new\n")
    commit_all(path / "lib")
    (path / "lib" / "inner" / "deep.txt").unlink()
    before = (path / "lib" / ".gitignore").stat().st_mtime_ns
    await worker.ready(attempt(number=2))
    assert (path / "lib" / "lib.py").read_text() == "lib\n"
    assert (path / "lib" / "inner" / "deep.txt").exists()
    assert not (path / "lib" / "new.py").exists()
    assert git(path / "lib", "rev-parse", "HEAD") == base
    assert git(path, "status", "--porcelain") == ""
    # Unchanged files are not written again, and files that the submodule ignores stay.
    assert (path / "lib" / ".gitignore").stat().st_mtime_ns == before
    assert (path / "lib" / "built" / "out").exists()
    kept = worker.git("rev-parse", f"{KEPT}:lib")
    assert git(worker.project / "lib", "show", f"{kept}:new.py") == "new"


@pytest.mark.usefixtures("library")
async def test_commits_and_edits_inside_are_accepted_and_kept(worker: Worker) -> None:
    """The accepted submodule commit has all changes inside, and the user's own submodule update finds it."""
    path = await worker.ready(attempt())
    (path / "lib" / "inner" / "deep.txt").write_text("deep, committed\n")
    nested = commit_all(path / "lib" / "inner")
    (path / "lib" / "lib.py").write_text("committed\n")
    own = commit_all(path / "lib")
    first = await worker.commit(attempt())
    link = worker.git("rev-parse", f"{first.commit}:lib")
    assert link == own
    assert git(worker.project / "lib" / "inner", "cat-file", "-t", nested) == "commit"
    await worker.ready(attempt(task="two"))
    (path / "lib" / "more.py").write_text("not committed\n")
    (path / "lib" / "inner" / "deep.txt").write_text("deeper\n")
    done = await worker.commit(attempt(task="two"))
    assert done.diff_stat.files == 1
    await worker.remove("runs/r1/epics/api")
    git(worker.project, "checkout", "--quiet", "--detach", done.commit)
    git(worker.project, "submodule", "--quiet", "update", "--init", "--recursive", "--no-fetch")
    lib = worker.project / "lib"
    assert (lib / "lib.py").read_text() == "committed\n"
    assert (lib / "more.py").read_text() == "not committed\n"
    assert (lib / "inner" / "deep.txt").read_text() == "deeper\n"
    assert git(lib, "rev-parse", "HEAD^") == own
    for folder in (lib, lib / "inner", worker.project):
        git(folder, "fsck", "--connectivity-only")
        git(folder, "gc", "--quiet", "--prune=now")
    assert git(lib, "cat-file", "-t", own) == "commit"


@pytest.mark.usefixtures("library")
async def test_a_continued_attempt_gets_its_work_in_submodules_back(worker: Worker) -> None:
    """The kept work of an earlier attempt is restored with its edits and commits in submodules."""
    path = await worker.ready(attempt())
    (path / "lib" / "inner" / "deep.txt").write_text("deeper\n")
    (path / "lib" / "lib.py").write_text("committed\n")
    commit_all(path / "lib")
    (path / "lib" / "new.py").write_text("not committed\n")
    await worker.discard(attempt())
    assert (path / "lib" / "lib.py").read_text() == "lib\n"
    assert (await worker.ensure(attempt(number=2), earlier=attempt())).continued
    assert (path / "lib" / "lib.py").read_text() == "committed\n"
    assert (path / "lib" / "new.py").read_text() == "not committed\n"
    assert (path / "lib" / "inner" / "deep.txt").read_text() == "deeper\n"


async def test_work_in_a_submodule_of_which_the_user_has_nothing(worker: Worker, unfilled: Path) -> None:
    """A submodule that setup or an agent fetched is kept in the project's repository for the next epics."""
    path = await worker.ready(attempt())
    assert list((path / "lib").iterdir()) == []
    name = ("-c", f"submodule.lib.url={unfilled}", "-c", "submodule.lib.active=true")
    git(path, *ALLOW, *name, "submodule", "--quiet", "update", "lib")
    (path / "lib" / "lib.py").write_text("work\n")
    done = await worker.commit(attempt())
    link = worker.git("rev-parse", f"{done.commit}:lib")
    assert worker.git("rev-parse", f"refs/heddle/submodules/{link}") == link
    await worker.remove("runs/r1/epics/api")
    assert worker.git("show", f"{link}:lib.py") == "work"
    worker.git("fsck", "--connectivity-only")
    other = await worker.ready(attempt("ui"), done.commit)
    assert (other / "lib" / "lib.py").read_text() == "work\n"
    assert git(other, "status", "--porcelain") == ""
    (other / "lib" / "lib.py").write_text("more\n")
    again = await worker.commit(attempt("ui"))
    assert worker.git("show", worker.git("rev-parse", f"{again.commit}:lib") + ":lib.py") == "more"


async def test_a_submodule_becomes_files_and_back(worker: Worker, library: Path) -> None:
    """A submodule that an agent adds, removes or replaces by files is committed as such."""
    path = await worker.ready(attempt())
    git(path, "rm", "--quiet", "--force", "lib")
    (path / "lib").mkdir(exist_ok=True)
    (path / "lib" / "lib.py").write_text("vendored\n")
    (path / ".gitmodules").unlink()
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:lib/lib.py") == "vendored"
    assert ".gitmodules" not in worker.git("ls-tree", "--name-only", done.commit).splitlines()
    for number in (1, 2):
        await worker.ready(attempt(task="two", number=number))
        assert not (path / "lib" / ".git").exists()
        assert (path / "lib" / "lib.py").read_text() == "vendored\n"
        make_submodule(path, library)
    done = await worker.commit(attempt(task="two", number=2))
    assert worker.git("ls-tree", done.commit, "lib").startswith("160000 commit")
    await worker.ready(attempt(task="three"))
    git(path, "rm", "--quiet", "--force", "--cached", "lib")
    shutil.rmtree(path / "lib")
    (path / ".gitmodules").unlink()
    done = await worker.commit(attempt(task="three"))
    assert worker.git("ls-tree", "--name-only", done.commit).splitlines() == [
        ".gitignore",
        "README.md",
        "src",
    ]
    await worker.ready(attempt(task="four"))
    (path / "src" / "app.py").unlink()
    (path / "src").rmdir()
    (path / "src").symlink_to("README.md")
    done = await worker.commit(attempt(task="four"))
    assert worker.git("ls-tree", done.commit, "src").startswith("120000")


@pytest.mark.usefixtures("unfilled")
async def test_files_in_an_unfilled_submodule_are_not_lost_silently(worker: Worker) -> None:
    """Files in an empty submodule cannot be committed: the attempt fails with the reason, and the files are kept."""
    path = await worker.ready(attempt())
    (path / "lib" / "idea.py").write_text("idea\n")
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_UNCOMMITTABLE_FILES
    assert "lib: is a submodule without a repository" in error.message
    assert (await worker.discard(attempt())).kept_ref == KEPT
    assert worker.git("show", f"{KEPT}:lib/idea.py") == "idea"
    assert list((path / "lib").iterdir()) == []
    await worker.ready(attempt(number=2))
    (path / "README.md").write_text("fine\n")
    done = await worker.commit(attempt(number=2))
    assert worker.git("ls-tree", done.commit, "lib").startswith("160000 commit")


async def test_a_repository_that_cannot_be_kept_is_refused(
    worker: Worker, unfilled: Path, tmp_path: Path
) -> None:
    """A shallow clone, or a clone outside of the worktree, is never committed as a link to a missing commit."""
    path = await worker.ready(attempt())
    (path / "lib").rmdir()
    (unfilled / "lib.py").write_text("newer\n")
    commit_all(unfilled)
    git(path, *ALLOW, "clone", "--quiet", "--depth=1", f"file://{unfilled}", "lib")
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_UNCOMMITTABLE_FILES
    assert "lib: the submodule cannot be kept" in error.message
    await worker.ready(attempt(number=2))
    assert worker.git("show", f"{KEPT}:lib/lib.py") == "newer"
    git(path, "worktree", "add", "--quiet", "--detach", str(tmp_path / "elsewhere"))
    (path / "lib" / ".git").write_text(f"gitdir: {tmp_path / 'library' / '.git'}\n")
    (path / "lib" / "lib.py").write_text("foreign\n")
    assert (await refused(worker.commit(attempt(number=2)))).reason == pb.ERROR_REASON_UNCOMMITTABLE_FILES
    worker.git("fsck", "--connectivity-only")


@pytest.mark.usefixtures("library")
async def test_an_archived_worktree_gets_its_submodules_back(worker: Worker) -> None:
    """Changes in a submodule when its worktree was removed are restored with the worktree."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("accepted\n")
    await worker.commit(attempt())
    assert not (await look(worker)).dirty
    (path / "lib" / "lib.py").write_text("unfinished\n")
    assert (await look(worker)).dirty
    assert (await worker.remove("runs/r1/epics/api")).archive_commit
    await worker.restore("runs/r1/epics/api")
    assert (path / "lib" / "lib.py").read_text() == "unfinished\n"


async def test_a_commit_that_only_the_remote_has_is_fetched(worker: Worker, library: Path) -> None:
    """If the project needs a newer submodule commit than the user has, it is fetched from its origin."""
    (library / "lib.py").write_text("newer\n")
    newer = commit_all(library)
    worker.git("update-index", "--cacheinfo", f"160000,{newer},lib")
    worker.git("commit", "--quiet", "-m", "bump")
    path = await worker.ready(attempt())
    assert (path / "lib" / "lib.py").read_text() == "newer\n"


async def test_what_cannot_be_filled_is_reported(worker: Worker, library: Path, tmp_path: Path) -> None:
    """Each attempt is told which filled submodules of the user it lacks and why, also nested ones, until it has them."""
    inner, away = tmp_path / "inner", tmp_path / "away"
    (inner / "deep.txt").write_text("newer\n")
    git(library, "update-index", "--cacheinfo", f"160000,{commit_all(inner)},inner")
    git(library, "commit", "--quiet", "-m", "bump")
    git(worker.project / "lib", "fetch", "--quiet", "--no-recurse-submodules")
    (library / "lib.py").write_text("newer\n")
    git(library, "add", "lib.py")
    git(library, "commit", "--quiet", "-m", "newer")
    lacking = git(library, "rev-parse", "HEAD")
    for commit in (f"{lacking}^", lacking):
        worker.git("update-index", "--cacheinfo", f"160000,{git(library, 'rev-parse', commit)},lib")
        worker.git("commit", "--quiet", "-m", "bump")
    library.rename(away)
    inner.rename(tmp_path / "elsewhere")

    nested = await worker.ensure(attempt(epic="nested"), "main^")
    (found,) = nested.submodules_not_filled.submodules
    assert found.path == "lib/inner"
    assert (Path(nested.worktree.path) / "lib" / "lib.py").read_text() == "lib\n"

    first = await worker.ensure(attempt())
    (found,) = first.submodules_not_filled.submodules
    assert (found.path, first.submodules_not_filled.count) == ("lib", 1)
    assert f"does not have its commit {lacking[:10]}, and it cannot be fetched from {library}" in found.reason
    # The answer may be lost, so a repeated call returns the same.
    assert (await worker.ensure(attempt())).submodules_not_filled == first.submodules_not_filled

    away.rename(library)
    (tmp_path / "elsewhere").rename(inner)
    second = await worker.ensure(attempt(number=2))
    assert not second.HasField("submodules_not_filled")
    assert (Path(second.worktree.path) / "lib" / "lib.py").read_text() == "newer\n"


async def test_a_submodule_without_a_remote_is_reported(worker: Worker, library: Path) -> None:
    """If the user's repository of a submodule lacks a commit and has no remote, the reason says so."""
    (library / "lib.py").write_text("newer\n")
    worker.git("update-index", "--cacheinfo", f"160000,{commit_all(library)},lib")
    worker.git("commit", "--quiet", "-m", "bump")
    git(worker.project / "lib", "remote", "remove", "origin")
    (found,) = (await worker.ensure(attempt())).submodules_not_filled.submodules
    assert found.path == "lib"
    assert found.reason.endswith(", and no remote named origin")


@pytest.mark.usefixtures("unfilled")
async def test_what_the_user_has_not_filled_is_not_reported(worker: Worker) -> None:
    """A submodule that the user has not filled is empty as in the checkout, which is no failure."""
    assert not (await worker.ensure(attempt())).HasField("submodules_not_filled")
